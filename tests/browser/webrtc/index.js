// What the WebTorrent clients take from `webrtc-polyfill`, out of @roamhq/wrtc: its binaries come from npm itself.

import wrtc from "@roamhq/wrtc";

export const { RTCDataChannel, RTCIceCandidate, RTCPeerConnection, RTCSessionDescription } = wrtc;
export default wrtc;
