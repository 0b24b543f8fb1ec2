"""Where composited frames go to: video files, label masks, a window, or nowhere."""
