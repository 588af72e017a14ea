"""The real Home Assistant with its own Assist, in a house that is one lamp.

What Home Assistant leaves to others is small but real: pocketsphinx hears a grammar, flite speaks.
Prints ``[port, token]`` as JSON, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - what Home Assistant is made of
import json
import logging
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pocketsphinx
from homeassistant import bootstrap, config_entries, loader
from homeassistant.auth.const import GROUP_ID_ADMIN
from homeassistant.auth.models import TOKEN_TYPE_LONG_LIVED_ACCESS_TOKEN
from homeassistant.components import stt, tts
from homeassistant.components.homeassistant.exposed_entities import async_expose_entity
from homeassistant.components.stt.legacy import DATA_PROVIDERS
from homeassistant.config import async_process_ha_core_config
from homeassistant.core import HomeAssistant
from homeassistant.setup import async_setup_component

LAMP = "input_boolean.kitchen_light"
GRAMMAR = """#JSGF V1.0;
grammar home;
public <order> = turn (on | off) the kitchen light | tell me a joke | what time is it;
"""


class Ears(stt.Provider):  # type: ignore[misc]
    """pocketsphinx, which knows the orders of one small house."""

    supported_languages = ("en",)
    supported_formats = (stt.AudioFormats.WAV,)
    supported_codecs = (stt.AudioCodecs.PCM,)
    supported_bit_rates = (stt.AudioBitRates.BITRATE_16,)
    supported_sample_rates = (stt.AudioSampleRates.SAMPLERATE_16000,)
    supported_channels = (stt.AudioChannels.CHANNEL_MONO,)

    def __init__(self, folder: Path) -> None:
        grammar = folder / "home.gram"
        grammar.write_text(GRAMMAR, encoding="utf-8")
        self._decoder = pocketsphinx.Decoder(jsgf=str(grammar), lm=None, loglevel="FATAL")

    async def async_process_audio_stream(
        self, metadata: stt.SpeechMetadata, stream: AsyncIterable[bytes]
    ) -> stt.SpeechResult:
        pcm = b"".join([piece async for piece in stream])
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()
        heard = self._decoder.hyp()
        return stt.SpeechResult(heard.hypstr if heard else "", stt.SpeechResultState.SUCCESS)


class Mouth(tts.Provider):  # type: ignore[misc]
    """flite, which makes WAV files."""

    name = "mouth"
    default_language = "en"
    supported_languages = ("en",)

    def get_tts_audio(self, message: str, language: str, options: dict[str, Any]) -> tuple[str, bytes]:
        with tempfile.NamedTemporaryFile(suffix=".wav") as file:
            subprocess.run(["flite", "-voice", "slt", "-t", message, "-o", file.name], check=True, timeout=60)
            return "wav", Path(file.name).read_bytes()


async def set_up(hass: HomeAssistant, config: dict[str, Any], *integrations: str) -> None:
    for integration in integrations:
        if not await async_setup_component(hass, integration, config):
            raise SystemExit(f"{integration} could not be set up")


async def house(folder: Path, port: int) -> HomeAssistant:
    """With no integration but those that Assist needs: the usual ones are hundreds of megabytes."""
    hass = HomeAssistant(str(folder))
    hass.config.skip_pip = True
    loader.async_setup(hass)
    config: dict[str, Any] = {
        "ffmpeg": {"ffmpeg_bin": imageio_ffmpeg.get_ffmpeg_exe()},
        "http": {"server_host": "127.0.0.1", "server_port": port},
        "input_boolean": {"kitchen_light": {"name": "Kitchen light"}},
        "stt": {},
        "tts": {},
    }
    hass.config_entries = config_entries.ConfigEntries(hass, config)
    await bootstrap.async_load_base_functionality(hass)
    await async_process_ha_core_config(hass, {})
    await set_up(
        hass, config, "homeassistant", "websocket_api", "api", "media_source", *config, "conversation"
    )
    ears = Ears(folder)
    ears.name, ears.hass = "ears", hass
    hass.data[DATA_PROVIDERS]["ears"] = ears
    hass.data[tts.DATA_TTS_MANAGER].async_register_legacy_engine("mouth", Mouth(), {})
    # Last, for its first pipeline is made of what there is by then.
    await set_up(hass, config, "assist_pipeline")
    async_expose_entity(hass, "conversation", LAMP, True)
    await hass.async_start()
    return hass


async def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        hass = await house(Path(folder), port)
        owner = await hass.auth.async_create_user("owner", group_ids=[GROUP_ID_ADMIN])
        key = await hass.auth.async_create_refresh_token(
            owner,
            client_name="voicews",
            token_type=TOKEN_TYPE_LONG_LIVED_ACCESS_TOKEN,
            access_token_expiration=timedelta(days=1),
        )
        print(json.dumps([port, hass.auth.async_create_access_token(key)]), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        await hass.async_stop(force=True)


logging.basicConfig(level=logging.WARNING)
asyncio.run(main())
