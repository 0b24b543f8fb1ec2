"""Where frames come from: files, folders of images, cameras and synthetic scenes."""
