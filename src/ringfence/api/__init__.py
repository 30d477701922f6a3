"""HTTP for people, on the control plane; the command line uses nothing else.

Imports every floor below it, never `config` or `app`. Read in this order: `context` (what routes
work with), `route` (what a route is), `access` (who is let in), `error`, then one noun, for example
`token`; `application` puts the nouns together and `serving` opens the listeners.
"""
