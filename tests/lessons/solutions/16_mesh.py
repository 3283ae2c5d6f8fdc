# Large batches hide a long pipeline's bubble; small ones do not. Only with its state shared out do two replicas fit.

def fastest(samples, zero):
    fit = [
        mesh
        for mesh in meshes(64)
        if mesh[1] <= GPT3.heads and mesh[2] <= L and gigabytes(*mesh, samples, zero).total < 80e9
    ]
    return sorted(fit, key=lambda mesh: seconds(*mesh, samples))

for samples, best in ((1536, (1, 4, 16)), (64, (1, 8, 8))):
    assert fastest(samples, 0)[0] == fastest(samples, 1)[0] == best
    assert all(dp == 1 for dp, _, _ in fastest(samples, 0))
    assert fastest(samples, 1)[1] == (2, 8, 4)
