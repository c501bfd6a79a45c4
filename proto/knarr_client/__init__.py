"""Programs that use the Knarr API: client, informer cache, work queue, the reconcile loop, the clock.

Rule of this package: it speaks to the API only through the :class:`knarr_client.client.Client` Protocol and
knows nothing of either plane. Every time and every random number comes from an argument, so that whatever is
built on it also runs in virtual time (:mod:`knarr_client.virtual_time`).

========================  ==========================================================================
``client``                the Client Protocol and its values (Page, Event, Applied, Propagation)
``grpc``, ``kubeconfig``  the Client over gRPC, and where to dial with which certificate
``sync``                  the same without ``await``
``raw``                   the verbs for dicts of any kind, with warnings (``GrpcClient.raw``)
``event_recorder``        telling users what happened, as Event objects
``memory``                the Client as a small API in memory, for tests
``informer``              a cache that follows one kind by list and watch
``workqueue``             keys waiting to be reconciled
``reconcile``             the loop that takes keys from the queue
``clock``                 time as an argument
========================  ==========================================================================
"""
