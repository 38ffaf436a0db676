import X86

/// Which cells of the opcode maps have rows.
struct X86Coverage {
  private static let prefixes: [(name: String, bytes: [UInt8])] = [
    ("NP", []), ("66", [0x66]), ("F3", [0xf3]), ("F2", [0xf2]),
  ]
  private static let maps: [(name: String, escape: [UInt8])] = [
    ("one byte", []), ("0F", [0x0f]), ("0F 38", [0x0f, 0x38]), ("0F 3A", [0x0f, 0x3a]),
  ]

  /// Bytes that are not an opcode: prefixes, escapes, REX, VEX, EVEX.
  private static func isPrefix(_ opcode: UInt8, _ map: Int) -> Bool {
    switch map {
    case 0:
      [
        0x0f, 0x26, 0x2e, 0x36, 0x3e, 0x62, 0x64, 0x65, 0x66, 0x67, 0xc4, 0xc5, 0xf0, 0xf2, 0xf3,
      ].contains(opcode) || (0x40...0x4f).contains(opcode)
    case 1: opcode == 0x38 || opcode == 0x3a
    default: false
    }
  }

  /// Of the 16 forms of a cell (ModRM.reg, memory or register) those that decode.
  private func forms(_ start: [UInt8], _ opcode: UInt8) -> Int {
    var found = 0
    for modRM in [UInt8(0x04), 0xc0] {
      for reg in UInt8(0)..<8 {
        // Register forms may be eight instructions in one.
        let last: UInt8 = modRM == 0xc0 ? 8 : 1
        let decodes = (0..<last).contains {
          let bytes = start + [opcode, modRM | reg << 3 | $0] + [UInt8](repeating: 0, count: 12)
          if case .insn = Decoder.decode(bytes) { return true }
          return false
        }
        if decodes { found += 1 }
      }
    }
    return found
  }

  func run() {
    print(
      "Of each cell, by its high and low digit: # every ModRM form, + some, . none, x a prefix.")
    for (number, map) in Self.maps.enumerated() {
      for prefix in Self.prefixes {
        table("\(map.name), \(prefix.name)", number) { forms(prefix.bytes + map.escape, $0) }
      }
    }
    for map in UInt8(1)...3 {
      for (pp, prefix) in Self.prefixes.enumerated() {
        for long in [UInt8(0), 4] {
          table("VEX \(Self.maps[Int(map)].name), \(prefix.name), L\(long / 4)", 4) { opcode in
            [UInt8(0), 0x80].map { wide -> Int in
              [UInt8(0), 0x78].map { vvvv in
                forms([0xc4, 0xe0 | map, wide | vvvv | long | UInt8([0, 1, 2, 3][pp])], opcode)
              }.max() ?? 0
            }.max() ?? 0
          }
        }
      }
    }
    for feature in Feature.allCases {
      let rows = Encodings.allRows.filter { $0.feature == feature }
      if !rows.isEmpty { print("\(feature.rawValue): \(rows.count) rows") }
    }
    print("\(Encodings.allRows.count) rows")
  }

  private func table(_ name: String, _ map: Int, _ forms: (UInt8) -> Int) {
    var lines: [String] = []
    var full = 0
    var some = 0
    for high in UInt8(0)..<16 {
      var line = String(high, radix: 16) + " "
      for low in UInt8(0)..<16 {
        let opcode = high << 4 | low
        if Self.isPrefix(opcode, map) {
          line += "x"
          continue
        }
        let count = forms(opcode)
        line += count == 16 ? "#" : count > 0 ? "+" : "."
        if count == 16 { full += 1 } else if count > 0 { some += 1 }
      }
      lines.append(line)
    }
    guard full + some > 0 else { return }
    print("\(name): \(full) whole, \(some) in part\n  0123456789abcdef")
    for line in lines { print(line) }
  }
}
