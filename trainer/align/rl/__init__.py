"""Reinforcement learning: answers are sampled, rewarded, and learnt from by GRPO or PPO."""
