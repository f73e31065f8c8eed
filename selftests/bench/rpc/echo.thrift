// SPDX-License-Identifier: LGPL-2.1-or-later OR MIT
namespace cpp bench

service Echo {
  binary call(1: binary data)
}
