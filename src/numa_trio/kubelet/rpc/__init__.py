"""The bridge: gRPC, spoken by grpclib on an asyncio loop that runs inside Trio.

Only this package knows asyncio, grpclib and the generated messages. What comes in or goes out is in
the words of `numa_trio.plugin.messages` and `numa_trio.plugin.holdings`; what goes wrong is one of
`numa_trio.kubelet.errors`. Everything runs in one thread, so the plain methods may be called from
any Trio task.

`loop` is opened once, around everything else. `plugin_server`, `kubelet_client` and
`pod_resources_client` are the plugin's side, which the agent uses; `registration_server`,
`pod_resources_server` and `plugin_client` are kubelet's, for the stand-in.
"""
