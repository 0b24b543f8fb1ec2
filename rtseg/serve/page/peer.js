// One WebRTC connection to the server: an offer goes by HTTP, an answer comes back, all candidates inside.

const GATHER_MS = 1500;

function gathered(connection) {
  if (connection.iceGatheringState === "complete") return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, GATHER_MS);
    connection.addEventListener("icegatheringstatechange", () => {
      if (connection.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Offer, wait for the candidates, and take the answer that `exchange({sdp, type})` brings. */
export async function negotiate(connection, exchange) {
  await connection.setLocalDescription(await connection.createOffer());
  await gathered(connection);
  const answer = await exchange({ sdp: connection.localDescription.sdp, type: "offer" });
  if (connection.signalingState === "closed") throw new DOMException("closed meanwhile", "AbortError");
  await connection.setRemoteDescription({ type: "answer", sdp: answer.sdp });
  return answer;
}

/** Ask the encoder for pictures that stay sharp: a bound on the bit rate, the size kept. */
export async function tuneSender(sender, bitsPerSecond) {
  const parameters = sender.getParameters();
  if (!parameters.encodings?.length) return;
  parameters.encodings[0].maxBitrate = bitsPerSecond;
  parameters.degradationPreference = "maintain-resolution";
  try {
    await sender.setParameters(parameters);
  } catch { /* a browser that has not these two goes by its own judgement */ }
}
