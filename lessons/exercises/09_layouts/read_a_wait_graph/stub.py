CYCLE = None
STUCK = None
CAN_GO_ON = None
LEFT = None
FREED = None
