@testable import Engine
@testable import X86

/// The x87 unit in a vector: `fcw`, `fsw`, `ftw` (a bit for every register in use), `fop`, `fip` and
/// `fdp` where an exception waits, `st3.0` and `st3.1` the significand and the sign and exponent of ST(3).
struct StackState {
  private static let names: Set<String> = ["fcw", "fsw", "ftw", "fop", "fip", "fdp"]
  private var words: [String: UInt64] = ["fcw": 0x37f]

  static func owns(_ name: String) -> Bool { names.contains(name) || name.hasPrefix("st") }

  subscript(_ name: String) -> UInt64 {
    get { words[name] ?? 0 }
    set { words[name] = newValue }
  }

  private func slot(_ index: Int) -> Int {
    Registers.x87 + ((Int(self["fsw"] >> 11) + index) & 7) * 2
  }

  func load(_ x: UnsafeMutablePointer<UInt64>) {
    x[Registers.fpControl] = self["fcw"]
    x[Registers.fpStatus] = self["fsw"]
    x[Registers.fpTag] = (0..<8).reduce(0) {
      $0 | (self["ftw"] >> UInt64($1) & 1 == 0 ? 3 << UInt64($1 * 2) : 0)
    }
    x[Registers.fpOpcode] = self["fop"]
    x[Registers.fpInstruction] = self["fip"]
    x[Registers.fpOperand] = self["fdp"]
    for index in 0..<8 {
      x[slot(index)] = self["st\(index).0"]
      x[slot(index) + 1] = self["st\(index).1"]
    }
  }

  /// - Returns: what is wrong.
  func check(_ x: UnsafeMutablePointer<UInt64>, _ row: Row) -> [String] {
    var complaints: [String] = []
    func expect(_ what: String, _ value: UInt64, _ wanted: UInt64) {
      if value != wanted { complaints.append("\(what) is \(hex(value)), not \(hex(wanted))") }
    }
    expect("fcw", x[Registers.fpControl], self["fcw"])
    let told = ~row.undefinedCodes
    expect("fsw", x[Registers.fpStatus] & told, self["fsw"] & told)
    let used = (0..<8).reduce(UInt64(0)) {
      $0 | (x[Registers.fpTag] >> UInt64($1 * 2) & 3 == 3 ? 0 : 1 << UInt64($1))
    }
    expect("ftw", used, self["ftw"])
    if self["fsw"] & 0x80 != 0 {
      expect("fop", x[Registers.fpOpcode], self["fop"])
      expect("fip", x[Registers.fpInstruction], self["fip"])
      expect("fdp", x[Registers.fpOperand], self["fdp"])
    }
    for index in 0..<8 {
      let here = Extended(
        significand: x[slot(index)], signExponent: UInt16(truncatingIfNeeded: x[slot(index) + 1]))
      let host = Extended(
        significand: self["st\(index).0"],
        signExponent: UInt16(truncatingIfNeeded: self["st\(index).1"]))
      if here == host || index < 2 && row.isNear(here, host) { continue }
      complaints.append("st(\(index)) is \(here), not \(host)")
    }
    return complaints
  }
}
