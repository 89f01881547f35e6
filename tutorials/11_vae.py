# %% [markdown]
# # What does a variational autoencoder maximise, and what becomes of it without the trick?
#
# The lessons so far took gradients of expectations whose answer is known. Here the trick does the work that it became
# famous for: it trains a network with random numbers in the middle. A **variational autoencoder** (VAE) has two halves.
# An *encoder* looks at an image $x$ and names a normal distribution of codes, $q(z\mid x)$, by its means and standard
# deviations. A code $z$ is drawn from it. A *decoder* turns the code into a distribution of images, $p(x\mid z)$. Codes
# have a distribution of their own, the *prior* $p(z)$, standard normal. So the decoder alone is a machine that makes
# images: draw a code from the prior, decode it.
#
# We train one on real images, beside its twin in PyTorch where that is installed, and beside the same network with one
# line changed: its codes are drawn by `Normal(mean, std).sample()`. The distribution is the same and so is the loss; but
# you know from `02_sampling_breaks_it.py` what is missing. **Make a prediction**: what will such a network learn?

# %%
import copy
import importlib.util
import json
import math
from datetime import date
from pathlib import Path

import lesson
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

import tinygrad_rp as torch
from tinygrad_rp.distributions import Binomial, Normal, kl_divergence
from visualize import draw, explain, module_scopes

threadpool_limits(1)  # the layers are small: two threads would wait for one another

CODES = 8  # numbers in a code
HIDDEN = 256
BATCH, EPOCHS, LR = 64, 40, 5e-3

images = load_digits().data.astype(np.float32)
images = images[np.random.default_rng(0).permutation(len(images))]
held_out, training = images[:400], images[400:]
print(
    f"{len(training)} images to train with, {len(held_out)} held out; pixels from {images.min():g} to {images.max():g}"
)

# %% [markdown]
# The images are handwritten digits, which come with scikit-learn. They were scanned with 32 × 32 pixels, black or white;
# then each block of 4 × 4 became one pixel of 8 × 8: the number of black ones among its 16. So a pixel is a count out of
# 16, and the natural distribution of such a count is binomial. The decoder says for each pixel $i$ how probable black
# is, $\pi_i(z)$, and
#
# $$p(x\mid z) = \prod_{i=1}^{64} \binom{16}{x_i}\, \pi_i^{x_i} (1-\pi_i)^{16-x_i}.$$
#
# (Many programs treat grey as if it were a coin's probability. Then $p(x\mid z)$ does not sum to 1 over all images, and
# "log-likelihood" is only a name. Here it is one.)
#
# ## 1. What is maximised
#
# We want parameters under which the images are probable: a large
#
# $$\log p(x) = \log \int p(x\mid z)\, p(z)\, dz.$$
#
# Nobody can do this integral, and to estimate it with codes from the prior is hopeless: hardly any of them fits a given
# image. So bring in a distribution $q(z\mid x)$ of codes that do, and divide by it what you multiply with:
#
# $$\begin{aligned}
# \log p(x) &= \log E_{z\sim q}\!\left[\frac{p(x\mid z)\,p(z)}{q(z\mid x)}\right]
#   \;\ge\; E_{z\sim q}\!\left[\log \frac{p(x\mid z)\,p(z)}{q(z\mid x)}\right]\\
#   &= \underbrace{E_{z\sim q}[\log p(x\mid z)]}_{\text{reconstruction}}
#   - \underbrace{\mathrm{KL}(q(z\mid x)\,\|\,p(z))}_{\text{what the code costs}}.
# \end{aligned}$$
#
# The inequality is Jensen's: the logarithm is concave, so the logarithm of a mean is at least the mean of logarithms. The
# right side is the **ELBO**, the evidence lower bound. How much is lost? Write $p(x\mid z)\,p(z) = p(z\mid x)\,p(x)$ in it:
#
# $$\log p(x) - \mathrm{ELBO} = \mathrm{KL}(q(z\mid x)\,\|\,p(z\mid x)) \ge 0,$$
#
# nothing, if $q$ is the true distribution of the codes of $x$. So to maximise the ELBO does two things at once: it makes
# images probable, and $q$ right.
#
# ### The second term, in closed form
#
# For a normal $q$ with mean $m$ and standard deviation $s$, and a standard normal prior,
#
# $$\log q(z) - \log p(z) = -\log s - \frac{(z-m)^2}{2s^2} + \frac{z^2}{2},$$
#
# and under $q$, the mean of $(z-m)^2$ is $s^2$, that of $z^2$ is $m^2 + s^2$. So the divergence is
# $\tfrac12 (m^2 + s^2 - 1 - \log s^2)$, in nats, and for several independent numbers in a code, their sum. The first term
# of the ELBO we shall have to estimate from draws. This one could be estimated too; a closed form has no noise.


# %%
def kl_to_the_prior(mean, log_std):
    """KL(N(mean, std²) ‖ N(0, 1)), in nats, summed over the last dimension."""
    return 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum(-1)


prior = Normal(torch.tensor(0.0, dtype=torch.float64), 1.0)
torch.manual_seed(1)
table = lesson.Table("KL to the standard normal: mean of log q(z) − log p(z) over 100000 draws from q")
for m, s in (0.0, 1.0), (1.5, 1.0), (0.0, 0.1), (-0.7, 0.4), (0.3, 2.0):
    mean, std = torch.tensor([m], dtype=torch.float64), torch.tensor([s], dtype=torch.float64)
    q = Normal(mean, std)
    z = q.sample((100_000,))
    closed = kl_to_the_prior(mean, std.log()).item()
    assert math.isclose(closed, kl_divergence(q, prior).item(), abs_tol=1e-12)
    table.agree(f"m = {m:g}, s = {s:g}", (q.log_prob(z) - prior.log_prob(z)).numpy(), theory=closed)
table.print()

# %% [markdown]
# ## 2. The network, written once
#
# `vae_of` takes the engine for its argument. With `tinygrad_rp` it gives our network, with `torch` PyTorch's: the names are
# the same. How a code is drawn is handed in too.


# %%
def vae_of(torch):
    """A variational autoencoder of the digits, made of the layers of an engine."""
    nn, functional = torch.nn, torch.nn.functional
    log_ways = torch.tensor([math.log(math.comb(16, k)) for k in range(17)])

    class VAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(64, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * CODES))
            self.decoder = nn.Sequential(nn.Linear(CODES, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 64))

        def encode(self, x):
            """Means and logarithms of the standard deviations of the codes of images, each of shape [n, codes]."""
            return self.encoder(x / 16).chunk(2, -1)

        def log_likelihood(self, x, z):
            """log p(x | z), in nats, of shape [n]: the logarithm of the product of binomials."""
            coins = functional.binary_cross_entropy_with_logits(self.decoder(z), x / 16, reduction="none")
            return log_ways[x.long()].sum(-1) - 16 * coins.sum(-1)

        def forward(self, x, drawn):
            """Both terms of the ELBO of images: log p(x | z) with a code each from ``drawn``, and the divergence."""
            mean, log_std = self.encode(x)
            z = drawn(torch, mean, log_std.exp())
            return self.log_likelihood(x, z), kl_to_the_prior(mean, log_std)

    return VAE()


def reparameterised(seed):
    """A code of each image, by the trick. The noise is NumPy's, so that two engines can be given the same."""
    noise = np.random.default_rng(seed)

    def drawn(torch, mean, std):
        eps = torch.tensor(noise.standard_normal(tuple(mean.shape), dtype=np.float32))
        return mean + std * eps

    return drawn


def only_drawn(torch, mean, std):
    """A code of each image, from the same distribution, without the trick."""
    return torch.distributions.Normal(mean, std).sample()


torch.manual_seed(2)
model = vae_of(torch)
x = torch.tensor(training[:3])
z = torch.randn(3, CODES)
by_class = Binomial(16, logits=model.decoder(z)).log_prob(x).sum(-1)
print("log p(x | z), by hand:    ", model.log_likelihood(x, z).detach())
print("log p(x | z), by Binomial:", by_class.detach())
assert np.allclose(model.log_likelihood(x, z).detach().numpy(), by_class.detach().numpy(), rtol=1e-5)

# %% [markdown]
# Mean *plus standard deviation times noise*. Tutorials of the VAE sometimes say that one multiplies the noise by the
# *variance*, as one of the notes that this tour follows does; the formulas around it mean the standard deviation. What
# would happen:

# %%
mean, std = 1.0, 0.5
eps = torch.randn(100_000, dtype=torch.float64).numpy()
table = lesson.Table(f"The variance of codes whose standard deviation is to be {std}: std² = {std**2}")
table.agree("mean + std · eps", (mean + std * eps - mean) ** 2, theory=std**2)
table.agree("mean + variance · eps", (mean + std**2 * eps - mean) ** 2, theory=std**4)
table.differ("is the latter right?", (mean + std**2 * eps - mean) ** 2, theory=std**2)
table.print()

# %% [markdown]
# ## 3. Training
#
# The loss is the mean of −ELBO over a batch. The batches come from NumPy, so that all networks see the same images in the
# same order. After some epochs we note the ELBO of the held-out images.


# %%
def elbo(torch, model, images, drawn, draws=1):
    """The ELBO of each image, in nats, with so many codes an image; and the divergences in it."""
    with torch.no_grad():
        terms = [model(torch.tensor(images), drawn) for _ in range(draws)]
    fit = np.mean([fit.numpy() for fit, _ in terms], axis=0, dtype=np.float64)
    kl = terms[0][1].numpy().astype(np.float64)
    return fit - kl, kl


def train(torch, model, drawn):
    """Train a network, and return its curve: epochs, and the mean ELBO of held-out images after them."""
    rng = np.random.default_rng(3)
    optimizer = torch.optim.Adam(model.parameters(), lr=LR)
    steps = EPOCHS * (len(training) // BATCH)
    fading = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    curve = []
    for epoch in range(1, EPOCHS + 1):
        order = rng.permutation(len(training))
        for begin in range(0, len(order) - BATCH + 1, BATCH):
            fit, kl = model(torch.tensor(training[order[begin : begin + BATCH]]), drawn)
            loss = (kl - fit).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            fading.step()
        if epoch == 1 or epoch % 5 == 0:
            curve.append((epoch, float(elbo(torch, model, held_out, drawn)[0].mean())))
    return curve


untrained = copy.deepcopy(model.state_dict())
curve = train(torch, model, reparameterised(seed=5))
print(f"held-out ELBO, nats an image: {curve[0][1]:.1f} after the first epoch, {curve[-1][1]:.1f} after the last")

other = vae_of(torch)
other.load_state_dict(untrained)
other_curve = train(torch, other, reparameterised(seed=6))
print(
    f"once more, with other noise:  {other_curve[0][1]:.1f} after the first epoch, {other_curve[-1][1]:.1f} after the last"
)

# %% [markdown]
# And its twin in PyTorch, where that is installed: the same start weights, handed over by `state_dict()`, the same batches
# in the same order, the same optimiser, and the same noise, drawn by NumPy. The two add up their numbers in different
# orders, so they differ in the last digits, and what differs grows a little with each step. The run with other noise, above,
# says how large a difference would be chance.

# %%
RECORDED = Path(lesson.__file__).parent / "data" / "11_vae_twin.json"
RECORD = False  # True: write down the twin's curve, for those who have no PyTorch

if importlib.util.find_spec("torch") is not None:
    import torch as pytorch

    pytorch.set_num_threads(1)  # the layers are small
    twin = vae_of(pytorch)
    twin.load_state_dict({name: pytorch.tensor(value.numpy()) for name, value in untrained.items()})
    twin_curve = train(pytorch, twin, reparameterised(seed=5))
    twin_elbo = float(elbo(pytorch, twin, held_out, reparameterised(seed=7), draws=20)[0].mean())
    twin_name = f"PyTorch {pytorch.__version__}"
    if RECORD:
        record = {"pytorch": pytorch.__version__, "numpy": np.__version__, "date": date.today().isoformat()}
        RECORDED.write_text(json.dumps(record | {"elbo": twin_elbo, "curve": twin_curve}) + "\n")
elif RECORDED.is_file():
    record = json.loads(RECORDED.read_text())
    twin_curve, twin_elbo = record["curve"], record["elbo"]
    twin_name = f"PyTorch {record['pytorch']}, recorded {record['date']}"
    print("PyTorch is not installed here: its curve was recorded elsewhere")
else:
    twin_curve, twin_elbo, twin_name = None, None, None
    print("PyTorch is not installed here: this engine's curve is alone")

# %% [markdown]
# Now the same network from the same start, with codes that are only drawn. To know what to expect of a network that learns
# nothing about single images: the best it can do is to say for each pixel how black it is *on average*. What that gives
# needs no network, but only the mean of the training images.

# %%
torch.manual_seed(5)
without = vae_of(torch)
without.load_state_dict(untrained)
curve_without = train(torch, without, only_drawn)

black = (training.sum(0) + 0.5) / (16 * len(training) + 1)  # half a count more: no pixel is impossible
average_image = Binomial(16, probs=torch.tensor(black)).log_prob(torch.tensor(held_out)).sum(-1).numpy()

# %%
figure, axes = plt.subplots()
axes.plot(*zip(*curve, strict=True), label="this engine")
if twin_curve:
    axes.plot(*zip(*twin_curve, strict=True), "--", label=twin_name)
axes.plot(*zip(*curve_without, strict=True), label="without the trick")
axes.axhline(average_image.mean(), color="C3", linestyle=":", label="the average image")
axes.set_xlabel("epoch")
axes.set_ylabel("held-out ELBO, nats an image")
axes.legend()
lesson.show(
    figure,
    "The ELBO of held-out images over the epochs. With the trick it rises far above what the average image gives, in both "
    "engines alike. Without it, it rises to the average image, and stays there.",
)

# %%
ours, kl = elbo(torch, model, held_out, reparameterised(seed=7), draws=20)
other_elbo, _ = elbo(torch, other, held_out, reparameterised(seed=7), draws=20)
blind, blind_kl = elbo(torch, without, held_out, only_drawn, draws=20)


def line(name, values):
    error = np.std(values, ddof=1) / math.sqrt(len(values))
    print(f"{name:32} {np.mean(values):8.2f} ± {error:.2f}")


print(f"held-out ELBO, mean ± standard error over {len(held_out)} images, in nats")
line("this engine", ours)
line("this engine, other noise", other_elbo)
if twin_elbo is not None:
    print(f"{twin_name:32} {twin_elbo:8.2f}   (ours is {100 * abs(ours.mean() / twin_elbo - 1):.3f} % away from it)")
    assert abs(ours.mean() / twin_elbo - 1) < 0.01
line("without the trick", blind)
line("the average image", average_image)

# %% [markdown]
# With the same noise, what differs between the two engines is rounding, and another noise makes more of a difference than
# another engine does. (The standard errors are large because some images are harder than others. They are the same
# images in all lines.) And the network without the trick came to what the average image gives, and no further.
#
# ## 4. Is it a lower bound?
#
# Let us look at $\log p(x)$ itself. The mean of $w = p(x\mid z)\,p(z)/q(z\mid x)$, over codes drawn from $q$, estimates
# $p(x)$ without bias, whatever $q$ is: this is *importance sampling*, the subject of `05_rare_samples.py`. The trained
# encoder is a good $q$. Its logarithm is then an estimate of $\log p(x)$ that lies, by Jensen once more, rather too low than
# too high. So if it lies above the ELBO, then $\log p(x)$ does.
#
# The ELBO is estimated from draws of its own. (With the same draws, the mean of $\log w$ lies below the logarithm of the
# mean of $w$ by arithmetic, and would prove nothing.)


# %%
def log_weights(model, x, n, repeats):
    """log p(x | z) + log p(z) − log q(z | x) of n codes of one image, several times: an array of shape [repeats, n]."""
    with torch.no_grad():
        mean, log_std = model.encode(torch.tensor(x).unsqueeze(0))
        q = Normal(mean, log_std.exp())
        rows = []
        for _ in range(repeats):
            z = q.sample((n,)).squeeze(1)
            codes = (Normal(0.0, 1.0).log_prob(z) - q.log_prob(z)).sum(-1)
            rows.append((model.log_likelihood(torch.tensor(x).expand(n, 64), z) + codes).numpy())
    return np.array(rows, dtype=np.float64)


def log_mean_exp(a):
    """log of the mean of exp(a) over the last axis, without overflow."""
    largest = a.max(-1, keepdims=True)
    return np.log(np.mean(np.exp(a - largest), -1)) + largest[..., 0]


torch.manual_seed(8)
table = lesson.Table("log p(x), by 1000 codes, minus the ELBO, in nats: 30 times for each image")
for i in range(5):
    log_p = log_mean_exp(log_weights(model, held_out[i], 1000, 30))
    bound = log_weights(model, held_out[i], 1000, 30).mean(-1)
    table.differ(f"image {i}: log p(x) ≈ {log_p.mean():.1f}, ELBO ≈ {bound.mean():.1f}", log_p - bound, theory=0)
    assert (log_p - bound).mean() > 0
table.print()

# %% [markdown]
# All gaps are positive. (The last column answers "is it 0?".) A gap is the divergence of $q$ from the true distribution of
# the codes of this image, which need not be normal, nor have independent parts, and which the encoder has to name at one
# glance. It differs from image to image. So be careful when models are compared by their ELBO: a better bound is not yet a
# better model.
#
# ## 5. Without the trick: what is missing
#
# Here are the graphs of both losses. Each module of the network has a frame. (A batch of four images; the parameters are
# those of the trained networks.)

# %%
few = torch.tensor(held_out[:4])
terms = {}
for name, network, drawn in ("with", model, reparameterised(seed=9)), ("without", without, only_drawn):
    network.zero_grad()
    with module_scopes(network, "VAE") as scopes:
        fit, divergence = network(few, drawn)
        loss = (divergence - fit).mean()
    terms[name] = fit, divergence, loss, scopes

fit, divergence, loss, scopes = terms["with"]
lesson.show(
    draw(loss, model, scopes=scopes),
    "With the trick: from the loss, two ways lead to the encoder, one of them through the decoder.",
)

# %%
fit, divergence, loss, scopes = terms["without"]
lesson.show(
    draw(loss, without, scopes=scopes),
    "Without it: the way through the decoder ends at the code. To the encoder leads the way of the divergence alone.",
)

# %% [markdown]
# Behind the decoder, the line to the code is missing. Ask for the gradient of the reconstruction alone, at the encoder's
# first weight:

# %%
weights = {name: network.encoder[0].weight for name, network in (("with", model), ("without", without))}
for name, (fit, _, _, _) in terms.items():
    (gradient,) = torch.autograd.grad(fit.mean(), [weights[name]], allow_unused=True, retain_graph=True)
    print(f"{name} the trick:", None if gradient is None else f"norm {float((gradient**2).sum().sqrt()):.3g}")
    assert (gradient is None) == (name == "without")

answer = explain(terms["without"][0].mean(), weights["without"], without)
lesson.say(answer)
assert answer.verdict == "none"

# %% [markdown]
# So all that the encoder ever hears is the divergence, and this says: be like the prior, whatever the image. That is easily
# learnt. Mean 0 and standard deviation 1 for each image, and the divergence is 0. Then the codes are noise, and the decoder
# does the best that it can do with noise: it stops listening, and paints the average image. Nothing in the program has
# failed. The loss falls, and there is no `None` among the gradients, since the divergence fills `.grad` of each parameter;
# that is why nobody warned.
#
# How much can a code tell about its image? On average, over all images, at most as many nats as the mean divergence from
# the prior:
#
# $$I(x; z) = E_x[\mathrm{KL}(q(z\mid x)\,\|\,q(z))] \le E_x[\mathrm{KL}(q(z\mid x)\,\|\,p(z))],
#   \qquad q(z) = E_x[q(z\mid x)].$$
#
# To name one of ten digits takes $\log 10 \approx 2.3$ nats. And, as a check that needs no formula: take a code of a held-out
# image, find the nearest code of a training image, and guess that both show the same digit. Without information, a guess is
# right as often as two images drawn at random show the same digit.

# %%
digits = load_digits().target[np.random.default_rng(0).permutation(len(images))]
unseen, seen = digits[:400], digits[400:]


def guesses(model, drawn):
    """Whether the digit of each held-out image is guessed from a code of it."""
    with torch.no_grad():
        codes = []
        for some in (held_out, training):
            mean, log_std = model.encode(torch.tensor(some))
            codes.append(drawn(torch, mean, log_std.exp()).numpy())
    distances = ((codes[0][:, None] - codes[1]) ** 2).sum(-1)
    return seen[distances.argmin(1)] == unseen


print(f"mean divergence, nats: with the trick {kl.mean():.2f}, without {blind_kl.mean():.5f}\n")
assert blind_kl.mean() < 0.05

torch.manual_seed(10)
by_chance = float(np.mean([np.mean(seen == digit) for digit in unseen]))
table = lesson.Table("The digit is guessed right from a code")
table.differ("with the trick: by chance?", guesses(model, reparameterised(seed=11)), theory=by_chance)
table.agree("without the trick: by chance", guesses(without, only_drawn), theory=by_chance)
table.print()

# %% [markdown]
# There is another right way: the *score function* of `04_score_function_or_pathwise.py` needs no path through the code. It
# would give the encoder its gradient back, without bias and with far more noise.
#
# ## 6. What they make of it


# %%
def picture(axes, title, rows):
    """Images in rows, as one picture; each has values from 0 to 16."""
    rows = np.asarray(rows).reshape(len(rows), -1, 8, 8)
    framed = np.pad(rows, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=4)
    axes.imshow(np.block([list(row) for row in framed]), cmap="gray_r", vmin=0, vmax=16)
    axes.set_title(title)
    axes.set_axis_off()


def decoded(model, z):
    """The mean images of codes."""
    with torch.no_grad():
        return 16 * torch.sigmoid(model.decoder(z)).numpy()


def rebuilt(model, drawn, x):
    """Images, encoded and decoded again."""
    with torch.no_grad():
        mean, log_std = model.encode(torch.tensor(x))
        return decoded(model, drawn(torch, mean, log_std.exp()))


some = held_out[:12]
figure, axes = plt.subplots(figsize=(7, 1.9))
torch.manual_seed(12)
picture(axes, "", [some, rebuilt(model, reparameterised(seed=12), some), rebuilt(without, only_drawn, some)])
lesson.show(
    figure,
    "Held-out images (above), what the VAE makes of their codes (middle), and what the network without the trick makes of "
    "them (below): the average image, each time.",
)

# %%
z = torch.randn(36, CODES)
figure, axes = plt.subplots(1, 2, figsize=(7, 2.1))
for each, title, network in zip(axes, ("with the trick", "without"), (model, without), strict=True):
    picture(each, title, decoded(network, z).reshape(4, 9, 64))
lesson.show(
    figure,
    "Codes drawn from the prior, decoded. The VAE's images look like digits, though not all of them. The other network "
    "paints one picture.",
)
spread = {name: decoded(network, z).std(0).mean() for name, network in (("with", model), ("without", without))}
print(f"standard deviation of a pixel over codes: with the trick {spread['with']:.2f}, without {spread['without']:.3f}")

# %% [markdown]
# ## What to take along
#
# - A VAE maximises the ELBO, reconstruction minus divergence: a lower bound of $\log p(x)$, and the closer, the better the
#   encoder's $q$ fits the true distribution of codes.
# - The divergence has a closed form. The reconstruction is estimated from draws, and the **trick** carries its gradient into
#   the encoder. Multiply the noise by the standard deviation.
# - Without it, the encoder is trained by the divergence alone. The divergence goes to 0, the codes become noise, and the
#   network ends where the average image is. There is no error and no warning: look at the divergence, or at the graph.
# - A likelihood that fits the data (a count out of 16 is binomial) makes log-likelihood mean what it says.
# - Two runs with different noise differ. Before you say that one program is better than another, know by how much.
#
# ## Try it
#
# Between the ELBO and $\log p(x)$ lie bounds that use $k$ codes at once (Burda, Grosse and Salakhutdinov, 2016):
#
# $$L_k = E\!\left[\log \frac1k \sum_{j=1}^k w_j\right], \qquad \mathrm{ELBO} = L_1 \le L_2 \le \dots \to \log p(x).$$
#
# Write a function that takes an array of $\log w$, of shape [repeats, n], where $n$ is a multiple of $k$, and $k$; it returns
# the estimates of $L_k$ from each $k$ of them in turn, of shape [repeats, n / k]. Mind that $w$ itself is about
# $e^{-100}$: float64 still holds it, float32 does not.


# %%
@lesson.exercise
def bound_of_k(answer):
    torch.manual_seed(13)
    log_w = log_weights(model, held_out[5], 1000, 20)
    ones = np.asarray(answer(log_w, 1))
    assert ones.shape == (20, 1000), f"for k = 1, the shape is to be (20, 1000), and is {ones.shape}"
    assert np.allclose(ones, log_w), "L_1 is the mean of log w, so for k = 1 your function returns log w itself"
    low = np.asarray(answer(log_w - 5000, 10))
    assert np.isfinite(low).all(), (
        "with smaller weights, exp(log w) is 0, and its logarithm infinite: subtract the largest first"
    )
    assert np.allclose(low + 5000, answer(log_w, 10)), "if each log w falls by 5000, L_k must fall by 5000"
    means = [float(np.mean(answer(log_w, k))) for k in (1, 10, 100, 1000)]
    assert means == sorted(means), f"L_k rises with k, and yours does not: {means}"
    print("L_1, L_10, L_100, L_1000:", ", ".join(f"{each:.2f}" for each in means))


bound_of_k(...)  # your function in the place of the dots

# %% tags=["hide-cell"]


def by_groups(log_w, k):
    """The logarithm of the mean weight, of each k."""
    return log_mean_exp(log_w.reshape(len(log_w), -1, k))


bound_of_k.solution(by_groups)

# %% [markdown]
# ## What to read next
#
# - The next lesson, `12_autoencoder_or_vae.py`: what does the divergence buy? A walk between two codes, in an autoencoder
#   and in a VAE.
# - `04_score_function_or_pathwise.py`: the other right gradient, and how much noisier it is.
# - Kingma and Welling, *Auto-Encoding Variational Bayes* (2014), and Rezende, Mohamed and Wierstra, *Stochastic
#   Backpropagation and Approximate Inference in Deep Generative Models* (2014): the VAE, found twice at the same time.
# - Burda, Grosse and Salakhutdinov, *Importance Weighted Autoencoders* (2016): the bounds of the exercise.
