# %% [markdown]
# # How does a gradient reach a covariance matrix?
#
# A sample is now a vector $z$, drawn from the multivariate normal distribution $N(\mu, \Sigma)$. Its mean $\mu$ is a
# vector, and its covariance $\Sigma$ a matrix, which says how far the elements of $z$ scatter and how they go together.
# A vector has no quantile function, so the recipe of the last lesson does not apply. But the formula of the Gaussian
# does, if we find what takes the place of $\sigma$: a *square root of the matrix* $\Sigma$.
#
# Let $\varepsilon$ be a vector of independent standard normal numbers, and $L$ any matrix. Then
#
# $$ z = \mu + L\varepsilon \quad\text{has the covariance}\quad
#    E[(L\varepsilon)(L\varepsilon)^T] = L\,E[\varepsilon\varepsilon^T]\,L^T = LL^T. $$
#
# So every $L$ with $LL^T = \Sigma$ will do, and there are many. Do they give the same samples? The same gradients?
# Which one should be taken?

# %%
import lesson
import matplotlib.pyplot as plt
import numpy as np

import tinygrad_rp as torch
from tinygrad_rp.distributions import MultivariateNormal, constraints, transform_to
from tinygrad_rp.optim import SGD
from visualize import compare, draw, explain

MU = np.array([1.0, -0.5])
SIGMA = np.array([[1.0, 0.6], [0.6, 0.8]])
L = np.linalg.cholesky(SIGMA)
print("L:\n", L, "\nL Lᵀ:\n", L @ L.T)

# %% [markdown]
# ## 1. What L does to the noise
#
# Of all square roots, the *Cholesky factor* is the one that is lower triangular (nothing above the diagonal) with a
# positive diagonal. Each covariance matrix that has an inverse has exactly one. Here is what it does:

# %%
circle = np.stack([np.cos(t := np.linspace(0, 2 * np.pi, 200)), np.sin(t)])
marked = np.stack([np.cos(t := np.arange(6) * np.pi / 3), np.sin(t)])
figure, (left, right) = plt.subplots(1, 2, sharex=True, sharey=True)
for axes, matrix, shift, title in [(left, np.eye(2), 0 * MU, "noise ε"), (right, L, MU, "sample z = μ + Lε")]:
    for radius in (1, 2):
        axes.plot(*(shift[:, None] + matrix @ circle * radius), color="grey", linewidth=1)
    for i, point in enumerate(marked.T):
        axes.plot(*(shift + matrix @ point), "os^Dv*"[i], color=f"C{i}", markersize=8)
    axes.set(title=title, aspect="equal", xlim=(-2.2, 3.2), ylim=(-2.5, 2.5))
lesson.show(
    figure, "Circles of noise become ellipses around the mean; each mark on the left becomes the same mark on the right"
)

# %% [markdown]
# Every point of noise has one place where it goes, and this place moves smoothly when $\mu$ or $L$ does. That is a
# path.
#
# ## 2. The truth, and the estimate
#
# Let the cost be a quadratic form, $z^T A z$, with a matrix $A$ that need not be symmetric; $\bar A = (A + A^T)/2$ is
# its symmetric part. The mean of the cost is known, and so are its derivatives:
#
# $$ E[z^T A z] = \mu^T A\mu + \operatorname{tr}(A LL^T), \qquad
#    \frac{\partial}{\partial\mu} = 2\bar A\mu, \qquad
#    \frac{\partial}{\partial L} = \operatorname{tril}(2\bar A L). $$
#
# `tril` keeps the lower triangle, because only that may move. First one sample, with its graph:

# %%
A = np.array([[2.0, 1.0], [0.0, 1.0]])
SYM = (A + A.T) / 2


def cost_of(z):
    """zᵀAz, for one vector z or for many."""
    return ((z @ torch.tensor(A, dtype=z.dtype)) * z).sum(-1)


torch.manual_seed(1)
mu = torch.tensor(MU, requires_grad=True)
factor = torch.tensor(L, requires_grad=True)
eps = torch.randn(2, dtype=torch.float64)
z = mu + torch.tril(factor) @ eps
cost = cost_of(z)
cost.backward()
print("mu.grad:    ", mu.grad.tolist())
print("factor.grad:", factor.grad.tolist())
names = {"mu": mu, "L": factor, "eps": eps, "z": z, "cost": cost}
lesson.show(draw(cost, names), "From the cost to the mean and to the factor: all edges are live")

# %% [markdown]
# Now many, and against the truth. As in the other lessons, each sample gets parameters of its own, so that one
# `backward()` leaves the gradient of each single sample.

# %%
M = 200_000


def gradients(sample, *parameters, n=M):
    """The gradients of n costs zᵀAz, one array of n for each parameter."""
    each = [torch.tensor(np.broadcast_to(value, (n, *value.shape)).copy(), requires_grad=True) for value in parameters]
    cost_of(sample(torch.randn(n, 2, 1, dtype=torch.float64), *each)).sum().backward()
    return [t.grad.numpy() for t in each]


def by_factor(eps, mu, factor):
    """z = μ + Lε, for many samples."""
    return mu + (torch.tril(factor) @ eps).squeeze(-1)


torch.manual_seed(2)
for_mu, for_factor = gradients(by_factor, MU, L)
by_hand = {"mu": 2 * SYM @ MU, "L": np.tril(2 * SYM @ L)}

table = lesson.Table(f"The gradient of E[zᵀAz], {M} samples")
for i in range(2):
    table.agree(f"d/dmu[{i}]", for_mu[:, i], theory=by_hand["mu"][i])
for i, j in [(0, 0), (1, 0), (1, 1), (0, 1)]:
    table.agree(f"d/dL[{i}, {j}]", for_factor[:, i, j], theory=by_hand["L"][i, j])
table.print()

# %% [markdown]
# The last line is exactly 0, sample by sample: what `tril` cuts off gets no gradient. Without `tril` it would get
# $2\bar A L$ there as well, the first step of gradient descent would put a number above the diagonal, and the matrix
# would be no Cholesky factor any more.

# %% [markdown]
# ## 3. Through the factor to the covariance matrix
#
# Sometimes the parameter is $\Sigma$ itself, and $L$ is computed from it. `linalg.cholesky` is an operation with a
# derivative like any other, so the way simply becomes longer by one node. `MultivariateNormal` does just that;
# `compare` puts the two side by side:

# %%
mu = torch.tensor(MU, requires_grad=True)
sigma = torch.tensor(SIGMA, requires_grad=True)

torch.manual_seed(3)
mine = cost_of(mu + torch.linalg.cholesky(sigma) @ torch.randn(2, dtype=torch.float64))
torch.manual_seed(3)
library = cost_of(MultivariateNormal(mu, covariance_matrix=sigma).rsample())

compared = compare(mine, library, {"mu": mu, "Sigma": sigma}, titles=("by hand", "rsample"))
lesson.say(compared.summary)
lesson.show(compared.draw(), "z = mu + cholesky(Sigma) eps, by hand and in MultivariateNormal")

# %% [markdown]
# They differ in how a matrix is multiplied by a vector (the noise is once a vector, once a matrix of one column), and
# in nothing else. What arrives at the parameters is the same.
#
# The truth is simple here, since $\operatorname{tr}(A\Sigma)$ is linear in $\Sigma$: its gradient is $\bar A$, whatever
# $\Sigma$ is. (It is symmetric, because $\Sigma$ can only move in a symmetric way.)


# %%
def by_cholesky(eps, sigma):
    return (torch.linalg.cholesky(sigma) @ eps).squeeze(-1)


torch.manual_seed(4)
(for_sigma,) = gradients(by_cholesky, SIGMA)
table = lesson.Table(f"The gradient by the covariance matrix, through its Cholesky factor, {M} samples, mu = 0")
for i, j in [(0, 0), (0, 1), (1, 0), (1, 1)]:
    table.agree(f"d/dSigma[{i}, {j}]", for_sigma[:, i, j], theory=SYM[i, j])
table.print()

# %% [markdown]
# ## 4. Another square root: eigenvectors
#
# A covariance matrix is $\Sigma = V \operatorname{diag}(w) V^T$, with its eigenvectors in $V$ and its eigenvalues $w$.
# So $V \operatorname{diag}(\sqrt{w})$ is a square root as well, and it is often the first that comes to mind. It gives
# samples of the right distribution. **Make a prediction**: does it give the right gradient?


# %%
def by_eigenvectors(eps, sigma):
    values, vectors = torch.linalg.eigh(sigma)
    return (vectors @ (torch.sqrt(values).unsqueeze(-1) * eps)).squeeze(-1)


torch.manual_seed(5)
(for_sigma,) = gradients(by_eigenvectors, SIGMA)
table = lesson.Table("The same, through eigenvectors")
for i, j in [(0, 0), (0, 1), (1, 1)]:
    table.agree(f"d/dSigma[{i}, {j}]", for_sigma[:, i, j], theory=SYM[i, j])
table.print()

# %% [markdown]
# Right on average, and about as noisy. But now look at a covariance that is nearly round. If two eigenvalues are nearly
# the same, a small change of $\Sigma$ turns the eigenvectors a lot, and all samples turn with them. The angle is
# proportional to $1/(w_1 - w_2)$. Take $\Sigma$ diagonal, with $w_1 = 1 + \delta/2$ and $w_2 = 1 - \delta/2$,
# $\mu = 0$, and ask for the gradient by its two off-diagonal elements together. With $\bar A = \begin{pmatrix} a & c \\
# c & b \end{pmatrix}$ it is $2c$, and the variance of one sample can be worked out:
#
# $$ \text{Cholesky: } 8c^2 + 4b^2\,\frac{w_2}{w_1}, \qquad
#    \text{eigenvectors: } \frac{4}{(w_1 - w_2)^2}\left(2c^2(w_1^2 + w_2^2) + (a - b)^2 w_1 w_2\right). $$

# %%
(a, c), (_, b) = SYM
torch.manual_seed(6)
table = lesson.Table("One sample's gradient by the covariance of the two elements")
for gap in [1.0, 0.1, 0.01]:
    w1, w2 = 1 + gap / 2, 1 - gap / 2
    variances = {
        "Cholesky": (by_cholesky, 8 * c**2 + 4 * b**2 * w2 / w1),
        "eigenvectors": (by_eigenvectors, 4 / gap**2 * (2 * c**2 * (w1**2 + w2**2) + (a - b) ** 2 * w1 * w2)),
    }
    for name, (sample, variance) in variances.items():
        (both,) = gradients(sample, np.diag([w1, w2]))
        both = both[:, 0, 1] + both[:, 1, 0]
        table.agree(f"gap {gap:g}, {name}: mean", both, theory=2 * c)
        table.agree(f"gap {gap:g}, {name}: variance", (both - 2 * c) ** 2, theory=variance)
table.print()

# %% [markdown]
# For the eigenvectors the variance grows a hundredfold each time that the gap becomes ten times smaller. And without a
# gap? The identity matrix is where one usually *begins*:

# %%
torch.manual_seed(7)
sigma = torch.eye(2, dtype=torch.float64).requires_grad_()
values, vectors = torch.linalg.eigh(sigma)
z = vectors @ (torch.sqrt(values) * torch.randn(2, dtype=torch.float64))
cost = cost_of(z)
answer = explain(cost, sigma, {"Sigma": sigma, "z": z, "cost": cost})
print(answer)
lesson.show(
    answer.draw(), "Where the gradient becomes NaN: the derivative of the eigenvectors is 0/0 at the identity matrix"
)

# %% [markdown]
# Any two orthogonal vectors are eigenvectors of the identity matrix, so it has no answer to the question how *the*
# eigenvectors move. The Cholesky factor has no such places: it is smooth wherever $\Sigma$ has an inverse.

# %% [markdown]
# ## 5. A negative number on the diagonal
#
# Now let $L$ be the parameter. Its diagonal should be positive. What if it is not? Turn the sign of the first column:
# $LL^T$ stays the same, so the distribution stays the same. The closed form of section 2 knows nothing of signs either:

# %%
flipped = L * [-1, 1]
torch.manual_seed(8)
_, for_factor = gradients(by_factor, MU, flipped)
table = lesson.Table("A factor with a negative diagonal")
for i, j in [(0, 0), (1, 0), (1, 1)]:
    table.agree(f"d/dL[{i}, {j}]", for_factor[:, i, j], theory=np.tril(2 * SYM @ flipped)[i, j])
table.print()

# %% [markdown]
# So the samples and their gradient do not mind. It is the *density* that minds. Its formula contains the logarithm of
# the determinant, $\log\det L = \sum_i \log L_{ii}$, and so does the entropy: the logarithm of a negative number is
# NaN. `MultivariateNormal` therefore refuses such a factor:

# %%
print("by hand:", torch.log(torch.diagonal(torch.tensor(flipped))).sum().item())
try:
    MultivariateNormal(torch.tensor(MU), scale_tril=torch.tensor(flipped))
except ValueError as error:
    lesson.say(error)

# %% [markdown]
# Can it happen by itself? Let us fit a Gaussian to a narrower one. The target is $N(0, \Sigma^*)$, and what is to be
# made small is the Kullback-Leibler divergence from our Gaussian to it, in which only two terms move:
#
# $$ E\left[\tfrac12 z^T \Sigma^{*-1} z\right] - \log\det L. $$
#
# We begin with $L = I$ and follow the gradient with steps of 0.05. Once the three numbers of $L$ are the parameters
# themselves; once $L$ is computed from free numbers, with an exponential on its diagonal. This is what
# `transform_to(constraints.lower_cholesky)` does.

# %%
TARGET = np.array([[0.05, 0.03], [0.03, 0.08]])
precision = torch.tensor(np.linalg.inv(TARGET))


def fit(factor_of, raw, steps):
    """The factors on the way, the first one before the first step."""
    raw = raw.clone().requires_grad_()
    optimizer = SGD([raw], lr=0.05)
    torch.manual_seed(9)
    way = []
    for _ in range(steps + 1):
        factor = factor_of(raw)
        way.append(factor.detach().numpy().copy())
        z = torch.randn(100, 2, dtype=torch.float64) @ factor.mT
        loss = ((z @ precision) * z).sum(-1).mean() / 2 - torch.log(torch.diagonal(factor)).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return way


as_it_is = fit(torch.tril, torch.eye(2, dtype=torch.float64), 3)
lower = transform_to(constraints.lower_cholesky)
positive = fit(lower, torch.zeros(2, 2, dtype=torch.float64), 300)

for name, way in [("L itself", as_it_is), ("exponential on the diagonal", positive)]:
    print(f"{name}: the diagonal of L, step by step")
    for step, factor in enumerate(way[:4]):
        log_det = torch.log(torch.tensor(np.diag(factor))).sum().item()
        print(f"  {step}: {np.round(np.diag(factor), 3)}   log det L = {log_det:.3f}")
print("\ncovariance after 300 steps:\n", np.round(positive[-1] @ positive[-1].T, 3), "\ntarget:\n", TARGET)

# %% [markdown]
# The first step of the first way is too long and lands beyond 0, where the loss is NaN. It is easy to miss: the
# gradient of the logarithm, $1/L_{ii}$, is a number all the same, so the descent goes on, and here it comes back by
# chance. The other way cannot leave the positive numbers, however long a step is.

# %%
figure, axes = plt.subplots()
for step, style in [(0, "C4-"), (1, "C2--"), (10, "C1-."), (300, "C0-")]:
    axes.plot(*(positive[step] @ circle), style, label=f"after {step} steps")
axes.plot(*(np.linalg.cholesky(TARGET) @ circle), color="grey", linewidth=6, alpha=0.4, label="target")
axes.set(aspect="equal", xlim=(-1.1, 2.2), ylim=(-1.1, 1.1))
axes.legend()
lesson.show(
    figure, "The ellipse of one standard deviation on its way to the target, with the exponential on the diagonal"
)

# %% [markdown]
# ## What to take along
#
# - $z = \mu + L\varepsilon$ with $LL^T = \Sigma$ reparameterises the multivariate normal distribution. The gradient by
#   $L$ is $\operatorname{tril}(2\bar A L)$ for the cost $z^T A z$.
# - Of all square roots, take the **Cholesky factor**: unique, and smooth wherever there is an inverse. Through
#   eigenvectors the gradient is right on average, but noisy beyond any bound where two eigenvalues come close.
# - Keep the **diagonal positive** by construction: an exponential or a softplus. The samples do not need it, the
#   density and the entropy do.
#
# ## Try it
#
# Write a function that makes a Cholesky factor from *any* three numbers, in a tensor of shape [3], with a softplus
# ($\log(1 + e^x)$, `torch.softplus`) on the diagonal.


# %%
@lesson.exercise
def factor(answer):
    torch.manual_seed(10)
    for _ in range(5):
        raw = (3 * torch.randn(3, dtype=torch.float64)).requires_grad_()
        made = answer(raw)
        assert tuple(made.shape) == (2, 2), f"it should have shape [2, 2], and has {list(made.shape)}"
        assert made[0, 1].item() == 0, f"above the diagonal there should be 0, and there is {made[0, 1].item():g}"
        assert (made.diagonal() > 0).all(), f"the diagonal should be positive, and is {made.diagonal().tolist()}"
        softplus = torch.softplus(raw.detach())
        found = sorted(made.diagonal().tolist())
        assert any(np.allclose(found, sorted(softplus[[i, j]].tolist())) for i, j in [(0, 1), (0, 2), (1, 2)]), (
            f"the diagonal should be the softplus of two of {raw.tolist()}, and is {made.diagonal().tolist()}"
        )
        made.sum().backward()
        assert raw.grad is not None and (raw.grad != 0).all(), f"a gradient should reach all three: {raw.grad}"


factor(...)  # your function of a tensor of three numbers here

# %% [markdown]
# A solution, if you want to compare:


# %% tags=["hide-cell"]
def solution(raw):
    return torch.diag(torch.softplus(raw[:2])) + raw[2] * torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=raw.dtype)


factor.solution(solution)

# %% [markdown]
# Another thing to do: the *symmetric* square root $V \operatorname{diag}(\sqrt{w}) V^T$ is smooth at the identity
# matrix, unlike $V \operatorname{diag}(\sqrt{w})$. Compute it through `eigh` there. Does the engine find its gradient?
#
# ## What to read next
#
# - The next lesson, `09_straight_through.py`: from numbers that move smoothly to coins, which jump.
# - Lesson 11, `11_vae.py`: a network computes $\mu$ and a diagonal $L$ for each picture.
# - Murray, *Differentiation of the Cholesky Decomposition* (2016): how a gradient passes through the factor.
# - Rezende, Mohamed and Wierstra, *Stochastic Backpropagation and Approximate Inference in Deep Generative Models*
#   (2014): gradients by $\mu$ and $\Sigma$, also through their square roots.
