"""Packs the software house's downloads: `service_pack.py CHANNEL`. The folder `ledgerline-4.2-sp1` and the
single file `ledgerline-sample-books.zip`. The program does not exist; its tables, notes and archives are real
files with plausible content, and every byte follows from fixed seeds and dates."""

import csv
import gzip
import hashlib
import io
import json
import os
import random
import sys
import tarfile
import zipfile

STAMP = 1780185600  # 2026-05-31, the day of the release
ZIP_STAMP = (2026, 5, 31, 0, 0, 0)

NOTES = """\
Ledgerline 4.2 Service Pack 1
=============================
Released 31 May 2026. For Ledgerline 4.2.0 and 4.2.1 on Linux and Windows. Build 4.2.1870.

Before you install
  - Close the books you have open. The installer waits for you, but not for ever.
  - Make a backup (File > Archive > Now). The service pack makes one too; two are better.
  - Books opened by SP1 can still be opened by 4.2.0. Books of 4.1 and older are converted once.

What you will notice
  LL-4410  Bank import reads CAMT.053 files six times faster; a year of card takings takes four seconds.
  LL-4432  VAT return: reverse-charge purchases are shown in both boxes, as the form asks.
  LL-4457  Tax tables for 2026/27. The old tables stay, for late payslips.
  LL-4461  Payslips: an address of more than five lines no longer pushes the total to page two.
  LL-4470  Search finds "Moller" when the ledger says "Møller".
  LL-4488  Reports remember their column widths.

What you will not notice, we hope
  LL-4391  Rounding of split payments: the last line takes the odd cent, not the first.
  LL-4402  A book on a network drive is locked with a lease, so a crashed PC frees it after 90 seconds.
  LL-4419  Archive: files of more than 2 GiB are verified after writing.
  LL-4440  Undo after a bank import removes the matched flags as well.
  LL-4466  Memory: the overview no longer keeps every chart it has ever drawn.
  ... and 30 smaller ones; docs/changes-by-module.csv lists all 41.

Known
  LL-4493  On Windows with 300 % scaling the month picker opens half outside the window. Drag it back; we are on it.

Check what you downloaded
  sha256sum -c SHA256SUMS                     (Linux)
  tools\\verify.cmd                            (Windows)
Nothing in here asks for a password. If something does, it is not from us.
"""

GERMAN = """\
Ledgerline 4.2 Service Pack 1 - das Wichtigste
==============================================
Vor der Installation bitte alle Bücher schließen und sichern (Datei > Archiv > Jetzt).

Neu
  LL-4410  Der Bankimport liest CAMT.053 sechsmal schneller.
  LL-4432  Umsatzsteuer: Reverse-Charge-Käufe stehen in beiden Feldern.
  LL-4457  Steuertabellen 2026/27.
  LL-4470  Die Suche findet »Moller«, auch wenn »Møller« gebucht ist.

Prüfen: sha256sum -c SHA256SUMS. Die vollständigen Hinweise stehen in RELEASE-NOTES.txt.
"""

INSTALL = """\
Linux      tar xzf ledgerline-4.2-sp1-linux-x86_64.tar.gz && sudo ./ledgerline-4.2-sp1/install.sh
Windows    unpack ledgerline-4.2-sp1-windows-x86_64.zip and start install.cmd as administrator
Silent     add --quiet; exit code 0 is done, 3 is "books are open", 1 is anything else (see install.log)
Undo       install.sh --revert (or install.cmd /revert) within 30 days
"""

LICENCE = """\
This is sample data made for the Groundswell examples. Ledgerline, Holt & Marrow and everybody named in these
files are invented. To the extent possible under law, the authors waive all rights to it (CC0 1.0).
"""

INSTALL_SH = """\
#!/bin/sh
# Ledgerline 4.2 Service Pack 1: puts the new tables and migrations beside the program, keeping the old ones.
set -eu
root=${LEDGERLINE_HOME:-/opt/ledgerline}
[ -d "$root" ] || { echo "install: no Ledgerline in $root (set LEDGERLINE_HOME)" >&2; exit 1; }
keep=$root/before-4.2-sp1
mkdir -p "$keep"
cp -a "$root/data" "$keep/"
cp -a "$(dirname "$0")/data/." "$root/data/"
echo "Service Pack 1 is in. The files it replaced are in $keep."
"""

INSTALL_CMD = "@echo off\r\nif not defined LEDGERLINE_HOME set LEDGERLINE_HOME=%ProgramFiles%\\Ledgerline\r\nxcopy /e /i /y \"%LEDGERLINE_HOME%\\data\" \"%LEDGERLINE_HOME%\\before-4.2-sp1\\data\"\r\nxcopy /e /i /y \"%~dp0data\" \"%LEDGERLINE_HOME%\\data\"\r\n"
VERIFY_SH = "#!/bin/sh\n# Compares every file with SHA256SUMS.\ncd \"$(dirname \"$0\")/..\" && sha256sum -c SHA256SUMS\n"
VERIFY_CMD = "@echo off\r\nrem Prints the sums; compare them with SHA256SUMS.\r\ncd /d \"%~dp0..\"\r\nfor %%f in (*.gz *.zip *.txt) do certutil -hashfile \"%%f\" SHA256\r\n"

PLACES = "Abbot Brack Calder Dunmore Elder Farrow Glen Hallow Isling Jarrow Kelm Lorn Marrow Norring Oaken Penn Quarr Ravens Selby Thorn Ulver Vale Wick Yarrow".split()
ENDS = "bridge bury by combe ford gate ham haven ley mouth port stead stow ton well wick".split()


def table(header, rows):
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def bank_directory():
    rnd = random.Random(42)
    for number in range(26000):
        place = rnd.choice(PLACES) + rnd.choice(ENDS)
        kind = rnd.choice(["Savings Bank", "Mutual", "Credit Union", "Building Society", "& County Bank", "Co-operative"])
        yield f"{rnd.randrange(10**6):06d}", f"{place} {kind}", f"{place[:4].upper()}XX{rnd.choice('2345')}{rnd.choice('ABCDEF')}{number % 1000:03d}", rnd.choice(["camt.053", "mt940", "csv"])


def tax_table():
    for week in range(1, 1801):
        pay = week * 5
        free = 242
        due = max(0, pay - free) * 0.2 + max(0, pay - 967) * 0.2
        yield pay, f"{due:.2f}", f"{max(0, min(pay, 967) - free) * 0.08 + max(0, pay - 967) * 0.02:.2f}"


MODULES = ["bank import", "VAT return", "payroll", "reports", "archive", "search", "printing", "invoices"]


def changes():
    rnd = random.Random(7)
    for number in range(41):
        yield f"LL-{4380 + number * 3}", MODULES[rnd.randrange(8)], rnd.choice(["corrected", "faster", "clearer", "removed", "added"]), rnd.choice(["4.2.1", "4.2.0", "4.1.7"])


def migration():
    return "".join(
        f"-- step {step}: {name}\nALTER TABLE {name} ADD COLUMN lease_until INTEGER;\nCREATE INDEX IF NOT EXISTS {name}_lease ON {name} (lease_until);\n\n"
        for step, name in enumerate(["book", "entry", "party", "bank_statement", "payslip", "vat_period", "archive_file"], 1))


def locale(language):
    rnd = random.Random(language)
    words = {"de": ["Buch", "Konto", "Beleg", "Steuer", "Lohn", "Bank", "Archiv"], "fr": ["livre", "compte", "pièce", "taxe", "paie", "banque", "archive"], "nl": ["boek", "rekening", "bon", "btw", "loon", "bank", "archief"]}[language]
    return json.dumps({f"ui.{MODULES[rnd.randrange(8)].replace(' ', '_')}.{n:04d}": " ".join(rnd.choice(words) for _ in range(rnd.randint(1, 6))) for n in range(1800)}, ensure_ascii=False, indent=1) + "\n"


def data_files():
    return {
        "data/bank-directory.csv": table(["sort code", "name", "bic", "format"], bank_directory()),
        "data/tax-2026-27-weekly.csv": table(["pay", "tax", "insurance"], tax_table()),
        "data/migrations/0042-leases.sql": migration(),
        **{f"data/locale/{language}.json": locale(language) for language in ("de", "fr", "nl")},
    }


def tar_gz(path, top, files):
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, text in sorted(files.items()):
            data = text.encode()
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mtime, entry.mode = len(data), STAMP, 0o755 if name.endswith(".sh") else 0o644
            archive.addfile(entry, io.BytesIO(data))
    with open(path, "wb") as out, gzip.GzipFile("", "wb", 9, out, mtime=STAMP) as packed:
        packed.write(raw.getvalue())


def zip_file(path, top, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, text in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{top}/{name}", ZIP_STAMP)
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
            archive.writestr(entry, text.encode())


def book(name, seed, suppliers, customers):
    """A year of entries whose balance adds up."""
    rnd, balance, rows = random.Random(seed), 2000.0, []
    for day in range(1, 366):
        for _ in range(rnd.randint(1, 5)):
            amount = round(rnd.uniform(40, 900), 2) if rnd.random() < 0.52 else -round(rnd.uniform(15, 860), 2)
            balance = round(balance + amount, 2)
            month, date = min(12, (day - 1) // 31 + 1), (day - 1) % 31 % 28 + 1
            rows.append((f"2025-{month:02d}-{date:02d}", rnd.choice(customers if amount > 0 else suppliers), f"{amount:.2f}", f"{balance:.2f}", f"{abs(amount) / 6:.2f}"))
    return {f"{name}/entries.csv": table(["date", "party", "amount", "balance", "vat"], rows), f"{name}/book.json": json.dumps({"name": name.title(), "currency": "EUR", "opening": "2000.00", "closing": f"{balance:.2f}", "entries": len(rows)}, indent=2) + "\n"}


def main():
    channel = sys.argv[1]
    folder = os.path.join(channel, "ledgerline-4.2-sp1")
    os.makedirs(os.path.join(folder, "docs"), exist_ok=True)
    os.makedirs(os.path.join(folder, "tools"), exist_ok=True)

    def write(name, text):
        with open(os.path.join(folder, name), "w", encoding="utf-8", newline="") as out:
            out.write(text)

    write("RELEASE-NOTES.txt", NOTES)
    write("INSTALL.txt", INSTALL)
    write("LICENCE.txt", LICENCE)
    write("docs/Änderungen auf Deutsch.txt", GERMAN)
    write("docs/changes-by-module.csv", table(["number", "module", "what", "since"], changes()))
    write("tools/verify.sh", VERIFY_SH)
    write("tools/verify.cmd", VERIFY_CMD)
    data = data_files()
    tar_gz(os.path.join(folder, "ledgerline-4.2-sp1-linux-x86_64.tar.gz"), "ledgerline-4.2-sp1", {**data, "install.sh": INSTALL_SH, "RELEASE-NOTES.txt": NOTES})
    zip_file(os.path.join(folder, "ledgerline-4.2-sp1-windows-x86_64.zip"), "ledgerline-4.2-sp1", {**data, "install.cmd": INSTALL_CMD, "RELEASE-NOTES.txt": NOTES.replace("\n", "\r\n")})
    sums = []
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.relpath(os.path.join(base, name), folder)
            if path != "SHA256SUMS":
                with open(os.path.join(folder, path), "rb") as source:
                    sums.append((path, hashlib.sha256(source.read()).hexdigest()))
    write("SHA256SUMS", "".join(f"{digest}  {path}\n" for path, digest in sorted(sums)))

    zip_file(os.path.join(channel, "ledgerline-sample-books.zip"), "sample-books", {
        **book("harbour-street-bakery", 1, ["Millers' Union", "Butter & Egg Co.", "Water board", "Oven service", "Wages"], ["Card takings", "Cash takings", "Café Morrow", "School kitchen"]),
        **book("two-brothers-boatyard", 2, ["Timber yard", "Varnish", "Slipway rent", "Rope works", "Insurance"], ["Hull repair", "Winter storage", "Engine service", "Mooring"]),
        **book("st-brannock-choir", 3, ["Sheet music", "Hall hire", "Conductor", "Coach", "Piano tuner"], ["Members", "Concert, door", "Donation", "Cake stall"]),
        "READ-ME.txt": "Three invented sets of books for Ledgerline 4.2: File > Open sample books, and pick this file.\n",
    })


main()
