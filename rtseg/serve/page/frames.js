// "Call me for every new picture of this video", by the browser's own call where it has one.

/** Call `onFrame(now, metadata)` for every picture that `video` shows; returns a function that ends it. */
export function everyFrame(video, onFrame) {
  let going = true;
  if ("requestVideoFrameCallback" in HTMLVideoElement.prototype) {
    const next = (now, metadata) => {
      if (!going) return;
      video.requestVideoFrameCallback(next);
      onFrame(now, metadata);
    };
    video.requestVideoFrameCallback(next);
  } else {
    let seen = -1;
    const next = (now) => {
      if (!going) return;
      requestAnimationFrame(next);
      const shown = video.getVideoPlaybackQuality?.().totalVideoFrames ?? video.currentTime;
      if (shown !== seen && video.readyState >= 2) onFrame(now, { presentedFrames: shown, mediaTime: video.currentTime });
      seen = shown;
    };
    requestAnimationFrame(next);
  }
  return () => { going = false; };
}
