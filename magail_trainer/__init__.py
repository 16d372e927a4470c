"""Multi-agent generative adversarial imitation learning on PettingZoo environments.

`magail_trainer.data` needs no torch; the learner does. Nothing is imported here, so that reading a dataset stays quick.
"""
