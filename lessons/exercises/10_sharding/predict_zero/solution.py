N, P = 8000, 4

HELD_0 = 16 * N
HELD_1 = 4 * N + 12 * N // P
HELD_2 = 2 * N + 14 * N // P
HELD_3 = 16 * N // P
SENT_0 = 2 * (P - 1) * 2 * N // P
SENT_1 = 2 * (P - 1) * 2 * N // P
SENT_3 = 3 * (P - 1) * 2 * N // P
