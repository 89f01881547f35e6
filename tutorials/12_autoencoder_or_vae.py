# %% [markdown]
# # Is a walk between two codes smoother in a variational autoencoder than in a plain one?
#
# An **autoencoder** squeezes an image through a few numbers, its *code*, and is trained to give it back. Since its decoder
# makes an image of any code, one would like to use it to make new ones: take the codes of two images, walk on a straight
# line from one to the other, and decode what lies between. It is often said that this fails, because the space of codes has
# gaps that no image was ever sent to, and that a *variational* autoencoder (VAE) mends it. One of the notes that this tour
# follows says so, and shows a walk with two numbers in a code as a picture.
#
# A picture of one walk shows one walk. Here we train several networks of both kinds on real images, and measure what happens
# on two hundred walks. **Make a prediction**: in codes of two numbers, how much farther from any real image is what the
# autoencoder makes of the middle of a walk, compared with what the VAE makes of it? Ten percent, a half, twice as far?

# %%
import math

import lesson
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from threadpoolctl import threadpool_limits

import tinygrad_rp as torch
from tinygrad_rp.nn import functional as F

threadpool_limits(1)  # the layers are small: two threads would wait for one another

HIDDEN = 96
NETWORKS = 6  # of each kind
BATCH, EPOCHS, LR = 64, 24, 5e-3

order = np.random.default_rng(0).permutation(len(load_digits().data))
images, digits = load_digits().data.astype(np.float32)[order], load_digits().target[order]
held_out, training = images[:400], images[400:]

# %% [markdown]
# ## 1. Two networks that differ in one line
#
# Both have the same layers, start from the same weights, and see the same batches. Pixels are counts out of 16, so the
# reconstruction is scored by $-\log p(x\mid z)$ of a binomial distribution (without its constant), as in `11_vae.py`.
#
# - The autoencoder decodes the code itself, and minimises $-\log p(x\mid z)$ alone.
# - The VAE decodes $z = m + s\,\varepsilon$, and adds the divergence of $N(m, s^2)$ from the standard normal.
#
# (The autoencoder's encoder also puts out an $s$, which nobody uses.)


# %%
class Network(torch.nn.Module):
    """An encoder and a decoder, with two numbers in between."""

    def __init__(self):
        super().__init__()
        Linear, ReLU, half = torch.nn.Linear, torch.nn.ReLU, HIDDEN // 2
        self.encoder = torch.nn.Sequential(Linear(64, HIDDEN), ReLU(), Linear(HIDDEN, half), ReLU(), Linear(half, 4))
        self.decoder = torch.nn.Sequential(Linear(2, half), ReLU(), Linear(half, HIDDEN), ReLU(), Linear(HIDDEN, 64))

    def encode(self, x):
        """Two means and two logarithms of standard deviations for each image."""
        return self.encoder(x / 16).chunk(2, -1)

    def reconstruction(self, x, z):
        """−log p(x | z) of each image, in nats, without the constant of the binomial distribution."""
        coins = F.binary_cross_entropy_with_logits(self.decoder(z), x / 16, reduction="none")
        return 16 * coins.sum(-1)


def autoencoder_loss(network, x):
    mean, _ = network.encode(x)
    return network.reconstruction(x, mean)


def vae_loss(network, x):
    mean, log_std = network.encode(x)
    z = mean + log_std.exp() * torch.randn_like(mean)
    divergence = 0.5 * (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum(-1)
    return network.reconstruction(x, z) + divergence


def train(loss_of, seed):
    """A network from a start, and with batches, that follow from the seed."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = Network()
    optimizer = torch.optim.Adam(network.parameters(), lr=LR)
    steps = EPOCHS * (len(training) // BATCH)
    fading = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    for _ in range(EPOCHS):
        order = rng.permutation(len(training))
        for begin in range(0, len(order) - BATCH + 1, BATCH):
            loss = loss_of(network, torch.tensor(training[order[begin : begin + BATCH]])).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            fading.step()
    return network


KINDS = {"autoencoder": autoencoder_loss, "VAE": vae_loss}
networks = {kind: [train(loss_of, seed) for seed in range(NETWORKS)] for kind, loss_of in KINDS.items()}


# %%
def codes(network, x):
    """The code of each image: the mean that the encoder names."""
    with torch.no_grad():
        return network.encode(torch.tensor(x))[0].numpy()


def decoded(network, z):
    """The mean images of codes, with pixels from 0 to 16."""
    with torch.no_grad():
        return 16 * torch.sigmoid(network.decoder(torch.tensor(z.astype(np.float32)))).numpy()


def apart(a, b):
    """Distances between images (or codes), each of a from each of b: root mean squares over pixels."""
    squares = (a**2).sum(-1)[:, None] + (b**2).sum(-1) - 2 * a @ b.T
    return np.sqrt(np.maximum(squares, 0) / a.shape[-1])


figure, axes = plt.subplots(1, 2, figsize=(7, 3.6))
for each, (kind, trained) in zip(axes, networks.items(), strict=True):
    z = codes(trained[0], training)
    each.scatter(*z.T, c=digits[400:], cmap="tab10", s=5)
    each.set_title(f"{kind}: codes")
lesson.show(
    figure,
    "The codes of the training images, a colour for each digit. The autoencoder puts them where it likes, at the scale it "
    "likes; the VAE's lie around 0, with a spread of about 1.",
)

# %% [markdown]
# ## 2. Two hundred walks
#
# The 400 held-out images make 200 pairs, each image in one of them. For each pair and each network, walk from code to code
# in 40 steps, and decode.


# %%
def walk(network, a, b, steps=40):
    """What is decoded along straight lines between the codes of images: an array of shape [steps + 1, pairs, 64]."""
    t = np.linspace(0, 1, steps + 1)[:, None, None]
    z = (1 - t) * codes(network, a) + t * codes(network, b)
    return decoded(network, z.reshape(-1, 2)).reshape(steps + 1, len(a), 64)


def picture(axes, title, rows):
    """Images in rows, as one picture."""
    rows = np.asarray(rows).reshape(len(rows), -1, 8, 8)
    framed = np.pad(rows, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=4)
    axes.imshow(np.block([list(row) for row in framed]), cmap="gray_r", vmin=0, vmax=16)
    axes.set_title(title)
    axes.set_axis_off()


first, second = held_out[::2], held_out[1::2]
walks = {kind: [walk(network, first, second) for network in trained] for kind, trained in networks.items()}

some = [i for i in range(200) if digits[2 * i] != digits[2 * i + 1]][:5]
figure, axes = plt.subplots(2, 1, figsize=(7, 5.6))
for each, (kind, walked) in zip(axes, walks.items(), strict=True):
    shown = walked[0][::4, some].transpose(1, 0, 2)
    picture(each, kind, np.concatenate([first[some][:, None], shown, second[some][:, None]], 1))
lesson.show(
    figure,
    "Five walks between two different digits, the same pairs in both. Outermost left and right the real images, between "
    "them what is decoded on the way.",
)

# %% [markdown]
# Look closely, and decide which half looks better to you. Both halves pass through strange shapes, and both through other
# digits. It takes a measure.
#
# - *Middle*: how far is what is decoded in the middle from the nearest training image? The distance is the root mean square
#   over pixels, which go from 0 to 16.
# - *Worst place*: the same at the place of the walk where it is largest.
# - *Longest step*: of the 40 changes of the image, the longest, divided by the mean one. It would be 1 if the image changed
#   evenly, and 40 if it jumped.
# - *Gap*: how far is the middle from the nearest code of a training image, measured in the distance that a code of a held-out
#   image has from it on average? Above 1, the middle lies in an emptier place than an image does.
# - *Ends*: as *middle*, at the two ends. A blurred image is nearer to all others than a sharp one; if one kind of network
#   blurred more, it would show here too.


# %%
def measures(network, walked):
    """Each measure, for each pair."""
    steps, pairs, _ = walked.shape
    far = apart(walked.reshape(-1, 64), training).min(1).reshape(steps, pairs)
    change = np.sqrt((np.diff(walked, axis=0) ** 2).mean(-1))
    known, here, there = codes(network, training), codes(network, first), codes(network, second)
    usual = apart(np.concatenate([here, there]), known).min(1).mean()
    return {
        "middle": far[steps // 2],
        "worst place": far.max(0),
        "longest step": change.max(0) / change.mean(0),
        "gap": apart((here + there) / 2, known).min(1) / usual,
        "ends": (far[0] + far[-1]) / 2,
    }


measured = {
    kind: [measures(network, walked) for network, walked in zip(networks[kind], walks[kind], strict=True)]
    for kind in KINDS
}

real = apart(held_out, training).min(1)
faded = apart((first + second) / 2, training).min(1)
print("distance to the nearest training image:")
print(f"- of a held-out image: {real.mean():.2f}")
print(f"- of two images, faded half and half: {faded.mean():.2f}\n")


def mean_and_error(x):
    return np.mean(x), np.std(x, ddof=1) / math.sqrt(len(x))


def compared(plain, variational):
    """Print a line that compares two arrays of shape [networks, items]; return the difference of each item."""
    items, single = (plain - variational).mean(0), (plain - variational).mean(1)
    cells = [mean_and_error(x) for x in (plain.mean(0), variational.mean(0), items)]
    z, t = (mean / error for mean, error in (cells[-1], mean_and_error(single)))
    print("".join(f"{f'{mean:.3f} ± {error:.3f}':>16}" for mean, error in cells) + f"{z:7.1f}{t:7.1f}")
    return items


def collect(kind, name):
    return np.array([each[name] for each in measured[kind]])


print(f"{'':14}{'autoencoder':>16}{'VAE':>16}{'difference':>16}{'z':>7}{'t':>7}")
difference = {}
for name in measured["VAE"][0]:
    print(f"{name:14}", end="")
    difference[name] = compared(collect("autoencoder", name), collect("VAE", name))

# %% [markdown]
# Two columns say how sure a difference is. In $z$, the 200 pairs are the sample and the networks are given: would it hold
# for other images? In $t$, the pairs of networks are the sample (one of each kind, from the same start): would it hold if we
# trained again? There are only six, so chance alone brings a $t$ beyond 2.6 in one case of twenty.
#
# What the table says, and what it does not:
#
# - The *middle* of a walk is about as far from real images in both, and both are much better than two images faded into one
#   another. A *gap* that the autoencoder would have, and the VAE not, is not found either.
# - The autoencoder's images are, if anything, nearer to real ones, in the middle *and* at the ends. It spends its two
#   numbers on images alone. What the VAE pays for the noise in its codes is some sharpness.
# - The *longest step* is longer in the autoencoder: its images change less evenly. Where it moves codes apart without
#   noise to hold it back, it can have plateaus with cliffs between them. The noise of the VAE fills the surroundings of a
#   code, so that the decoder learns not to change too fast there. This difference is the one that remains of "smoother".

# %%
table = lesson.Table("Autoencoder minus VAE, over 200 pairs of images")
table.agree("gap: none", difference["gap"], theory=0)
table.agree("middle, less ends: none", difference["middle"] - difference["ends"], theory=0)
table.differ("longest step: is it none?", difference["longest step"], theory=0)
table.print()
assert abs(difference["middle"].mean()) < 0.1 * collect("VAE", "middle").mean()
assert collect("autoencoder", "middle").mean() < faded.mean() and collect("VAE", "middle").mean() < faded.mean()
assert difference["longest step"].mean() > 0

# %% [markdown]
# So the dramatic picture, of walks that lose all form in an autoencoder and are mended by a VAE, is not what happens *here*.
# Two numbers for a digit is a narrow place: to rebuild 1400 images through it, the autoencoder has to use the plane densely,
# and dense means without gaps. (Nor is "discontinuity" the word for what it might have. Both decoders are made of
# continuous functions. What can be wrong with a place between codes is that no image was ever trained there.) With more
# numbers in a code, there is more room for gaps: that is the second thing to try below.
#
# ## 3. Where one may draw codes
#
# What, then, does the divergence buy? It says *where the codes are*. A VAE comes with a distribution of codes, the prior:
# draw from it, decode, and you have a new image. For an autoencoder nobody knows where its codes lie, at what scale, in
# what shape. Look at the axes of the plots above.
#
# **Make a prediction**, then measure: draw 1000 codes from the standard normal, for each network.
#
# - *Plausible*: how far is a decoded code from the nearest training image?
# - *Covered*: how far is a held-out image from the nearest decoded code? A network that makes good images of a few kinds
#   would do well by the first and badly by this one.

# %%
rng = np.random.default_rng(1)
normal = rng.standard_normal((1000, 2))


def fitted(network):
    """Codes from the normal distribution with the mean and the covariance of the training images' codes."""
    known = codes(network, training)
    return known.mean(0) + normal @ np.linalg.cholesky(np.cov(known.T)).T


def made(networks, codes_of):
    """What is decoded, and both measures, each of shape [networks, items]."""
    new = [decoded(network, codes_of(network)) for network in networks]
    return (
        new,
        np.array([apart(each, training).min(1) for each in new]),
        np.array([apart(held_out, each).min(1) for each in new]),
    )


from_vae, *of_vae = made(networks["VAE"], lambda network: normal)
from_plain, *of_plain = made(networks["autoencoder"], lambda network: normal)
from_fitted, *of_fitted = made(networks["autoencoder"], fitted)

print(f"{'':33}{'autoencoder':>16}{'VAE':>16}{'difference':>16}{'z':>7}{'t':>7}")
found = {}
for codes_of, measured_plain in {"standard normal": of_plain, "fitted normal": of_fitted}.items():
    for name, plain, variational in zip(("plausible", "covered"), measured_plain, of_vae, strict=True):
        print(f"{name + ', ' + codes_of:33}", end="")
        found[name, codes_of] = compared(plain, variational)

figure, axes = plt.subplots(1, 2, figsize=(7, 2.6))
for each, kind, new in zip(axes, KINDS, (from_plain, from_vae), strict=True):
    picture(each, kind, new[0][:50].reshape(5, 10, 64))
lesson.show(figure, "Codes drawn from the standard normal distribution, decoded by the first network of each kind.")

# %%
table = lesson.Table("Autoencoder minus VAE, over 1000 codes or 400 held-out images")
table.differ("standard normal, plausible: is it none?", found["plausible", "standard normal"], theory=0)
table.differ("standard normal, covered: is it none?", found["covered", "standard normal"], theory=0)
table.differ("fitted normal, plausible: is it none?", found["plausible", "fitted normal"], theory=0)
table.print()
assert found["plausible", "standard normal"].mean() < 0 < found["covered", "standard normal"].mean()
assert found["covered", "fitted normal"].mean() < found["covered", "standard normal"].mean()

# %% [markdown]
# Codes from the standard normal, decoded by the autoencoder, are nearer to real images than the VAE's. But they are not
# *all* kinds of images: some kinds have their codes elsewhere, and an image of such a kind is far from anything that is
# made. The VAE's cover the images better.
#
# One can look where the autoencoder's codes lie, and draw from a normal distribution that is fitted to them. In two dimensions
# this does the job: it covers the images about as well as the VAE does or better, and its images are nearer to real ones.
# So what the VAE buys here is not better images. It buys that the place of the codes is known *before* one looks, that
# the way from there to $p(x)$ is a formula (the bound of `11_vae.py`), and that images change more evenly with the code.
#
# ## What to take along
#
# - A VAE is an autoencoder with noise in its codes, and a price for codes that are far from the prior.
# - On these images, with two numbers in a code, the middle of a walk is **as good in an autoencoder as in a VAE**. What a
#   picture of one walk suggests need not hold for two hundred.
# - What does differ: the VAE's walks are more **even**, and its codes lie where the prior says, so that codes drawn from it
#   **cover** the images. It pays with some sharpness.
# - Ask what the sample is. Over pairs of images, a difference may be beyond all doubt, and yet the next training may turn
#   it round. Train several networks, and count them as what they are: few.
# - A blurred image is near to everything. A measure of quality needs a second one that cannot be cheated in the same way.
#
# ## Try it
#
# **1.** Is it the noise or the divergence that makes a VAE? Take the noise alone: write a loss as `vae_loss` is, with
# $z = m + \varepsilon$, $\varepsilon$ standard normal, and *without* the divergence. **Make a prediction** first: what will
# the encoder do about the noise?


# %%
@lesson.exercise
def noise_alone(answer):
    some = torch.tensor(held_out[:50])
    network = Network()
    loss = answer(network, some)
    assert loss.shape == (50,), f"the loss is to have a number for each image, of shape (50,), not {tuple(loss.shape)}"
    assert not np.array_equal(loss.detach().numpy(), answer(network, some).detach().numpy()), "there is no noise in it"
    loss.mean().backward()
    weight = network.encoder[0].weight
    assert weight.grad is not None, "no gradient reaches the encoder: is the code drawn by sample(), or detached?"
    half = network.encoder[4].weight.grad.numpy()[2:]
    assert not half.any(), (
        "the standard deviation that the encoder puts out is still in use: the noise is to be of size 1"
    )
    network = train(answer, 0)
    size = codes(network, training).std(0).mean()
    others = {kind: codes(networks[kind][0], training).std(0).mean() for kind in KINDS}
    print("standard deviation of the codes:", ", ".join(f"{kind} {each:.1f}" for kind, each in others.items()), end="")
    print(f", noise alone {size:.1f}")
    assert size > 2 * others["autoencoder"], (
        "the codes are no farther apart than an autoencoder's: is a divergence in it?"
    )


noise_alone(...)  # your loss in the place of the dots

# %% tags=["hide-cell"]


def loss_with_noise(network, x):
    """The encoder moves the codes so far apart that the noise is small beside them: nothing tells it not to."""
    mean, _ = network.encode(x)
    return network.reconstruction(x, mean + torch.randn_like(mean))


noise_alone.solution(loss_with_noise)

# %% [markdown]
# **2.** Give the codes eight numbers in place of two, and run sections 2 and 3 again. Is there a gap now? (Reckon with a few
# changes: 4 and 2 in `Network` become 16 and 8, and so does the 2 in `walk` and in `normal`.) Does an autoencoder with a fitted
# normal distribution keep up?
#
# ## What to read next
#
# - `11_vae.py`, if you came here first: where the divergence comes from, and why the noise needs the trick.
# - Kingma and Welling, *Auto-Encoding Variational Bayes* (2014).
# - Higgins and others, *beta-VAE* (2017): what happens when the divergence costs more, or less.
# - Ghosh, Sajjadi, Vergari, Black and Schölkopf, *From Variational to Deterministic Autoencoders* (2020): autoencoders with a
#   distribution that is fitted to their codes afterwards, and why they may do as well.
