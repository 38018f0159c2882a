"""Analytics: throughput, latency, failures and queue times from hourly rollups."""
