# Buckets of growing, then of falling size beat the best of the equal ones.

sizes = [ELEMENTS * part // 15 for part in (1, 2, 3, 3, 3, 2, 1)]
assert max(lesson.run(overlapped, sizes)) < 0.99 * bucket_ms[best]
