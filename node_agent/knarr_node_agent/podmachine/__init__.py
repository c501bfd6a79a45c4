"""What to do next for a pod, and what to say of it. Pure: ``world`` is what is seen, ``table`` the transitions,
``decide`` the plan, ``status`` the report. Nothing here does I/O or asks a clock.

The life of a pod on its node:

    no sandbox ──► sandbox ──► init containers, one after the other ──► containers ──► ended ──► sandbox stopped
                      ▲                                                    │ restart policy, back-off
                      └──────────── the sandbox is gone ◄──────────────────┘
    asked to end, from any of these: containers stopped ──► sandbox removed ──► gone
"""
