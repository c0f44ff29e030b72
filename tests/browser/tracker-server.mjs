// bittorrent-tracker (npm) as a tracker of others, over HTTP, UDP and WebSocket on loopback, until it is killed. Prints one
// JSON line with its ports.

import Server from "bittorrent-tracker/server";

const server = new Server({ udp: true, http: true, ws: true, stats: false, trustProxy: false });
server.on("error", (error) => {
  console.error(error);
  process.exit(1);
});
server.on("warning", (warning) => console.error(String(warning)));
server.listen(0, { http: "127.0.0.1", udp: "127.0.0.1", udp6: "::1" }, () => {
  const [http, udp] = [server.http.address().port, server.udp4.address().port];
  console.log(JSON.stringify({ event: "ready", http, udp }));
});
