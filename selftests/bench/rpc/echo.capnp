# SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
@0xb6a2c5d2d1f0e3c7;

interface Echo {
  call @0 (data :Data) -> (data :Data);
}
