"""Ray: Tune hands trials to warm Ray Train worker groups. Nothing outside this package imports ray."""
