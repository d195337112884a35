"""A Ray cluster on this machine, listening to it alone: a head that takes no tasks and two nodes of one core each. Its
address goes to stdout; a line on stdin replaces the second node by a new one, and the end of stdin ends all."""

import sys

from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
print(cluster.address, flush=True)
for _ in sys.stdin:
    cluster.remove_node(nodes.pop(), allow_graceful=False)
    nodes.append(cluster.add_node(num_cpus=1))
    print("replaced", flush=True)
cluster.shutdown()
