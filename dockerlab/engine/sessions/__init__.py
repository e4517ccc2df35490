"""Sessions: while a build runs, its client serves the files, credentials and secrets that the engine asks for.

    sessions.serve(session, connection)                     POST /session: the connection's thread, until it ends
    session = sessions.find(id, cancellation)               the session that POST /build names; it may come a moment later
    with session.call(FILE_SYNC, metadata, cancellation) as call:
        call.send(message); call.receive()                  from any thread

- `session`, `registry`: the connection and its calls; which there are
- `syncing`: file sync, the receiver's side, over a call; `packs`: what is kept of one sync for the next; `sending`: the sender's side
"""
