@echo off
rem Prints the sums; compare them with SHA256SUMS.
cd /d "%~dp0.."
for %%f in (*.gz *.zip *.txt) do certutil -hashfile "%%f" SHA256
