"""The Docker Engine API's HTTP, as far as it is the same for every endpoint.

- `types`: what a handler gets and gives: `Request`, and `Answer`, `Stream` or `Hijack`; `Route`
- `router`: path → handler; API versions
- `server`: connections → requests, responses → bytes; a thread a connection

A handler is a plain function from request to response. The socket is bound in `dockerlab.engine.process`.
"""
