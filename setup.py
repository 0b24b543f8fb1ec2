"""What pyproject.toml cannot say: `engines/` is installed as `rtseg_engines`, its bundles without the recipes."""

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class BundlesOnly(build_py):
    """Leave scripts out of the package with the bundles."""

    def find_package_modules(self, package, package_dir):
        """Return (package, module, file) of every module to install."""
        modules = super().find_package_modules(package, package_dir)
        return [found for found in modules if package != "rtseg_engines" or found[1] == "__init__"]


setup(
    packages=[*find_packages(include=["rtseg", "rtseg.*"]), "rtseg_engines"],
    package_dir={"rtseg_engines": "engines"},
    package_data={
        "rtseg": ["py.typed", "datasets/taxonomies/*.toml", "serve/page/*"],
        "rtseg_engines": [
            f"{name}/{file}"
            for name in ("street", "person")
            for file in ("*.onnx", "model.toml", "weights.safetensors")
        ],
    },
    cmdclass={"build_py": BundlesOnly},
)
