"""Registries: images that come from one and go to one. OCI distribution spec 1.1, with Docker's token authentication and its texts.

- `pulling`, `pushing`: what the engine does; a generator of the API's messages each, which another thread may cancel
- `checking`: what a registry has under a name
- `source`: a repository, in its registry or a mirror; `credentials`: who asks
- `transfers`: blobs, resumed after a break; `fetching`, `measuring`: layers into the store
- `manifests`: documents and platforms; `progress`: lines for who waits

Requests, logins and errors are those of `dockerlab.registry`, which the client side has too.

Nothing here imports httpx before the first request: an engine that pulls nothing does not pay for it.
"""
