"""How long KubeEdge keeps one waiting though nothing is wrong."""

from typing import Final

STALL_SECONDS: Final = 60
"""So long a box may tell nothing new of its pods, now and then, though its link is up.

Inside edgecore an answer is thrown away when it comes before its asker has begun to listen (beehive v1.23.0,
pkg/core/channel/context_channel.go: SendSync, SendResp), and the asker waits for its whole time-out, which no setting
changes (syncMsgRespTimeout in edge/pkg/metamanager/client/metaclient.go). KubeEdge's kubelet asks in this way for its
node and for the pod before it reports a pod. Measured on a busy machine: one move in some hundreds takes 60 to 62 s.
Whatever is judged by a pod's state waits for longer than this.
"""
