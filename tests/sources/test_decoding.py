from __future__ import annotations

from pathlib import Path

import av
import pytest

from rtseg.errors import SourceError
from rtseg.sources.decoding import VideoPass
from tests.sources.clips import plain_count, write_clip
from tests.sources.test_file import broken_in_the_middle, damaged


def given(path: Path, **options: object) -> VideoPass:
    video = VideoPass(path, **options)
    for _ in video.frames():
        pass
    video.close()
    return video


def test_a_fast_pass_alone_would_lose_frames_at_a_broken_end(tmp_path: Path) -> None:
    sound = write_clip(
        tmp_path / "s.mkv", frame_count=60, size_wh=(160, 96), options={"bf": "2", "g": "10", "crf": "20"}
    )
    files = [damaged(sound, "tail", seed) for seed in range(8)]
    passes = [given(path, thread_count=8) for path in files]
    lost = [plain_count(path) - video.given for path, video in zip(files, passes, strict=True)]
    assert max(lost) > 0
    assert all(video.incomplete for video, missing in zip(passes, lost, strict=True) if missing)


def test_a_fast_pass_stops_at_the_first_error_and_a_careful_one_goes_on(tmp_path: Path) -> None:
    path = broken_in_the_middle(tmp_path)
    fast, careful = given(path), given(path, careful=True)
    assert (fast.given, fast.incomplete) == (20, True)
    assert (careful.given, careful.errors, careful.incomplete) == (57, 3, False)


def test_resuming_gives_what_is_later(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", frame_count=30)
    with av.open(str(path)) as container:
        times = [frame.pts for frame in container.decode(video=0)]
    video = VideoPass(path, careful=True, resume_after_pts=times[19])
    assert [frame.pts for frame in video.frames()] == times[20:]
    video.close()


def test_cover_art_is_no_video_unless_there_is_nothing_else(tmp_path: Path) -> None:
    with_video, alone = tmp_path / "v.mp4", tmp_path / "a.mp4"
    for path in (with_video, alone):
        with av.open(str(path), "w") as container:
            art = container.add_stream("mjpeg", rate=1)
            art.width, art.height, art.pix_fmt = 96, 96, "yuvj420p"
            art.disposition = av.stream.Disposition.attached_pic
            streams = [art]
            if path == with_video:
                video = container.add_stream("mpeg4", rate=25)
                video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
                streams.append(video)
            for stream in streams:
                container.mux(stream.encode(av.VideoFrame(stream.width, stream.height, stream.pix_fmt)))
                container.mux(stream.encode(None))
    assert given(with_video).stream.codec_context.name == "mpeg4"
    assert given(alone).given == 1


def test_a_file_without_a_video_stream_is_closed_again(tmp_path: Path) -> None:
    path = tmp_path / "t.srt"
    path.write_text("1\n00:00:00,000 --> 00:00:01,000\nhello\n\n")
    with pytest.raises(SourceError, match="has no video stream: got subtitle"):
        VideoPass(path)
