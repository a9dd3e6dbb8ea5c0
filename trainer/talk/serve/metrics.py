"""What Prometheus is told, in a registry of the server's own."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("corpuscle_requests", "Requests answered.", ["route", "status"], registry=self.registry)
        self.tokens = Counter("corpuscle_tokens", "Tokens read and written.", ["model", "kind"], registry=self.registry)
        self.active = Gauge("corpuscle_active_requests", "Running or waiting.", ["model"], registry=self.registry)
        self.share = Gauge(
            "corpuscle_conversation_share", "Share of the conversations.", ["model"], registry=self.registry
        )
        self.first_token = Histogram(
            "corpuscle_first_token_seconds",
            "From a request's arrival to its first token.",
            buckets=(0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30),
            registry=self.registry,
        )
        self.stored = Counter("corpuscle_stored", "Reports and comparisons stored.", ["kind"], registry=self.registry)
        self.traffic = Counter(
            "corpuscle_sampled_exchanges",
            "Exchanges drawn for the sample.",
            ["outcome"],
            registry=self.registry,
        )
        self.tools = Counter("corpuscle_tool_calls", "Tool calls.", ["tool", "outcome"], registry=self.registry)

    def text(self) -> bytes:
        return generate_latest(self.registry)
