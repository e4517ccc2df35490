"""Registries: images that come from one and go to one. OCI distribution spec 1.1, with Docker's token authentication and its texts.

- `pulling`, `pushing`: what the engine does; a generator of the API's messages each, which another thread may cancel
- `checking`: a login, and what a registry has under a name
- `source`: a repository, in its registry or a mirror; `client`: requests, redirects, retries; `abort`: ends them all
- `transfers`: blobs, resumed after a break; `fetching`, `measuring`: layers into the store
- `auth`: challenges and tokens; `credentials`: whose; `hosts`: where a registry is, and whom it is trusted by
- `manifests`: documents and platforms; `refusals`: errors in Docker's words; `progress`: its lines

Nothing here imports httpx before the first request: an engine that pulls nothing does not pay for it.
"""
