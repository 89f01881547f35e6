"""Draw the pictures of the README: ``python docs/pictures.py``.

They are written to docs/pictures, each with its DOT text, which the tests compare with what is drawn today. When that has changed
on purpose, run this, and look at the pictures.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tinygrad_rp as torch
from tinygrad_rp import nn
from visualize import Drawing, draw, module_scopes

FOLDER = Path(__file__).parent / "pictures"


def leaf(value: float) -> Any:
    return torch.tensor([value], requires_grad=True)


def naive_gaussian() -> Drawing:
    mu, std = leaf(12.0), leaf(42.0)
    z = torch.normal(mu, std)
    z2 = z**2
    z2.backward(retain_graph=True)
    return draw(z2, "variables")


def reparameterised_gaussian() -> Drawing:
    mu, std = leaf(12.0), leaf(42.0)
    eps = torch.randn_like(std)
    z = eps * std + mu
    z2 = z**2
    z2.backward(retain_graph=True)
    return draw(z2, "variables")


def straight_through() -> Drawing:
    p = leaf(0.25)
    sample = torch.bernoulli(p)
    difference = sample - p  # kept, so that the picture shows what was cut off
    y = p + difference.detach()
    y2 = y**2
    y2.backward(retain_graph=True)
    return draw(y2, "variables")


def gumbel_softmax() -> Drawing:
    p, temperature = leaf(0.25), 0.5
    g0, g1 = (-torch.log(-torch.log(torch.rand(1))) for _ in range(2))
    e = torch.exp(((torch.log1p(-p) + g0) - (torch.log(p) + g1)) / temperature)
    y = 1 / (1 + e)
    y2 = y**2
    y2.backward(retain_graph=True)
    return draw(y2, "variables")


class VAE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Linear(64, 32)
        self.mean = nn.Linear(32, 2)
        self.logvar = nn.Linear(32, 2)
        self.decoder = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 64))

    def forward(self, x: Any) -> Any:
        h = torch.tanh(self.encoder(x))
        mean, logvar = self.mean(h), self.logvar(h)
        eps = torch.randn_like(mean)
        z = mean + torch.exp(logvar / 2) * eps
        return self.decoder(z), mean, logvar, eps, z


def vae() -> Drawing:
    model = VAE()
    x = torch.bernoulli(torch.full((16, 64), 0.5))
    with module_scopes(model) as scopes:
        logits, mean, logvar, eps, z = model(x)
    reconstruction = nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    divergence = 0.5 * (mean**2 + logvar.exp() - logvar - 1).sum()
    loss = reconstruction + divergence
    loss.backward(retain_graph=True)
    names = {"loss": loss, "reconstruction": reconstruction, "divergence": divergence}
    names |= {"logits": logits, "mean": mean, "logvar": logvar, "eps": eps, "z = mean + std · eps": z}
    return draw(loss, [model, names], scopes=scopes)


PICTURES: tuple[Callable[[], Drawing], ...] = (
    naive_gaussian,
    reparameterised_gaussian,
    straight_through,
    gumbel_softmax,
    vae,
)


def drawn(picture: Callable[[], Drawing]) -> Drawing:
    """One of the pictures, always with the same random numbers."""
    torch.manual_seed(2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the gradient stops is what is to be seen
        return picture()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for picture in PICTURES:
        drawing = drawn(picture)
        for suffix in ("dot", "png"):
            print(drawing.save(FOLDER / f"{picture.__name__}.{suffix}"))
