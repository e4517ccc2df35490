"""Building images: a Dockerfile and a context to an image, with the semantics of Docker's classic builder and BuildKit's instructions.

Told as either of them tells it.

    builder = Builder(containers, pull)
    build = builder.begin(request, body)       reads the context; raises for what is wrong with the request or the Dockerfile
    for piece in build.messages(): …           JSON lines, as they come; the last but one says what the image is, or what failed
    build.cancel()                             from any thread: whatever is at work ends at once

- `request`, `scripts`, `history`: PURE. what is asked for; what is run; what the image's history says
- `context`, `sources`: where files come from; `selecting`, `placing`, `copying`, `adding`: what COPY and ADD make of them
- `running`, `mounting`, `caches`, `secrets`: RUN
- `state`, `steps`: a stage, step by step, and the cache; `schedule`, `tape`: stages side by side

- `telling`: the seam between what is done and what is said of it, with the classic stream; `vertices`, `tracing`: BuildKit's
- `solving`: builds with a session, and all of version 2; `following`: PURE. which paths of a context they need; `exporting`: results
  that are files of the client's

Every step makes an image of the store, which is the cache, too. `--cache-from` takes images that are there, of any origin, by the steps
that their history tells; none is pulled for it. What a text does not tell all of (a RUN with mounts, a heredoc or a network) is not taken
so. BUILDKIT_INLINE_CACHE changes nothing: every image has that history. There is one frontend (`dockerfile.frontends`). Nothing that is
half-made is ever an image; what is needed meanwhile is in the home's `tmp`.
"""
