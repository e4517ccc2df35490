"""What both sides speak to registries by: the embedded engine that pulls and pushes, and the client that looks or logs in.

OCI distribution spec 1.1, with Docker's token authentication and its texts.

- `client`: requests, redirects, retries; `abort`: ends them all
- `auth`: who asks, challenges and tokens; `login`: whether a registry knows somebody
- `hosts`: where a registry is, and whom it is trusted by
- `refusals`: errors in Docker's words

`client` imports httpx: it is imported where a request is made, so that who speaks to no registry does not pay for it.
"""
