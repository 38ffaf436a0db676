/// Where an operand of at most 8 bits sits: `(bits >> shift & mask) + base`.
struct Field: Sendable {
  var shift: UInt8 = 0
  var mask: UInt8 = 0
  var base: UInt8 = 0

  func extract(_ bits: UInt32) -> UInt8 {
    (UInt8(truncatingIfNeeded: bits &>> UInt32(shift)) & mask) &+ base
  }

  func insert(_ value: UInt8) -> UInt32 {
    UInt32((value &- base) & mask) &<< UInt32(shift)
  }
}

/// Some bits of an immediate: `width` of them, at `from` in the instruction, at `to` in the value.
struct Slice: Sendable {
  var from: UInt8
  var to: UInt8
  var width: UInt8

  var mask: UInt32 { (1 &<< UInt32(width)) &- 1 }
}

/// A set of bits that must not have these values.
struct Forbidden: Sendable {
  var mask: UInt32
  var match: UInt32
}

/// Where the operands of a row are.
struct Layout: Sendable {
  var rd = Field()
  var rs1 = Field()
  var rs2 = Field()
  var rs3 = Field()
  var rm = Field()
  var slices: [Slice] = []
  /// How far to shift the immediate up and down again for its sign; 0 if it has none.
  var signShift: UInt8 = 0
  var forbidden: [Forbidden] = []

  func extract(_ bits: UInt32, op: Op, length: UInt8) -> Insn {
    var imm: UInt32 = 0
    for slice in slices {
      imm |= (bits &>> UInt32(slice.from) & slice.mask) &<< UInt32(slice.to)
    }
    let shift = Int64(signShift)
    return Insn(
      op: op, rd: rd.extract(bits), rs1: rs1.extract(bits), rs2: rs2.extract(bits),
      rs3: rs3.extract(bits), rm: rm.extract(bits), length: length,
      imm: (Int64(imm) &<< shift) &>> shift)
  }

  /// The operand bits; what does not fit is cut off.
  func insert(_ insn: Insn) -> UInt32 {
    var bits = rd.insert(insn.rd) | rs1.insert(insn.rs1) | rs2.insert(insn.rs2)
    bits |= rs3.insert(insn.rs3) | rm.insert(insn.rm)
    let imm = UInt32(truncatingIfNeeded: insn.imm)
    for slice in slices {
      bits |= (imm &>> UInt32(slice.to) & slice.mask) &<< UInt32(slice.from)
    }
    return bits
  }
}

/// A row's pattern, read.
///
/// A pattern that does not read is a mistake in a table and stops the first use of any row.
struct Pattern {
  private(set) var width = 0
  private(set) var mask: UInt32 = 0
  private(set) var match: UInt32 = 0
  private(set) var layout = Layout()
  /// Of rd, rs1, rs2, rs3.
  private(set) var kinds: [RegisterKind] = [.none, .none, .none, .none]

  private var nonzeroImm = false
  private var immBits: UInt32 = 0
  private var immTop = 0
  private var signed = false

  init(_ text: String, implied: String) {
    for word in text.split(separator: " ").reversed() {
      read(String(word))
    }
    precondition(width == 16 || width == 32, "\(text): \(width) bits")
    if nonzeroImm { layout.forbidden.append(Forbidden(mask: immBits, match: 0)) }
    if signed { layout.signShift = UInt8(63 - immTop) }
    for word in implied.split(separator: " ") {
      let parts = word.split(separator: "=")
      precondition(parts.count == 2, implied)
      guard let value = UInt8(parts[1]) else { preconditionFailure(implied) }
      set(String(parts[0]), Field(base: value))
      if parts[0] != "rm" { setKind(String(parts[0])) }
    }
  }

  private mutating func read(_ word: String) {
    if word.allSatisfy({ $0 == "0" || $0 == "1" }) {
      for bit in word.reversed() {
        mask |= 1 &<< UInt32(width)
        if bit == "1" { match |= 1 &<< UInt32(width) }
        width += 1
      }
      return
    }
    if let bracket = word.firstIndex(of: "[") {
      return readImmediate(
        name: String(word[..<bracket]), ranges: word[bracket...].dropFirst().dropLast())
    }
    let named: [String: (bits: UInt8, to: UInt8)] = [
      "csr": (12, 0), "fm": (4, 8), "pred": (4, 4), "succ": (4, 0),
    ]
    if let (bits, to) = named[word] {
      layout.slices.append(Slice(from: UInt8(width), to: to, width: bits))
      width += Int(bits)
      return
    }
    switch word {
    case "rm": take("rm", bits: 3)
    case "rl":
      layout.rm = Field(shift: UInt8(width), mask: 3)
      width += 1
    case "aq": width += 1
    case "uimm": take("rs1", bits: 5)
    default: readRegister(word)
    }
  }

  private mutating func take(_ name: String, bits: Int) {
    set(name, Field(shift: UInt8(width), mask: UInt8((1 << bits) - 1)))
    width += bits
  }

  private mutating func readRegister(_ word: String) {
    let parts = word.split(separator: "≠")
    let names = parts[0].split(separator: "/")
    let short = parts[0].hasSuffix("'")
    let bits = short ? 3 : 5
    for name in names {
      let plain = name.hasSuffix("'") ? String(name.dropLast()) : String(name)
      let field = Field(
        shift: UInt8(width), mask: UInt8((1 << bits) - 1), base: short ? 8 : 0)
      set(plain.hasPrefix("f") ? String(plain.dropFirst()) : plain, field)
      setKind(plain)
    }
    if parts.count == 2, let value = UInt32(parts[1]) {
      layout.forbidden.append(
        Forbidden(mask: 0x1f &<< UInt32(width), match: value &<< UInt32(width)))
    }
    width += bits
  }

  private mutating func set(_ name: String, _ field: Field) {
    switch name {
    case "rd": layout.rd = field
    case "rs1": layout.rs1 = field
    case "rs2": layout.rs2 = field
    case "rs3": layout.rs3 = field
    case "rm": layout.rm = field
    default: preconditionFailure("no operand is called \(name)")
    }
  }

  private mutating func setKind(_ name: String) {
    guard let index = ["rd", "rs1", "rs2", "rs3"].firstIndex(where: { name.hasSuffix($0) }) else {
      preconditionFailure("no register is called \(name)")
    }
    kinds[index] = name.hasPrefix("f") ? .f : .x
  }

  private mutating func readImmediate(name: String, ranges: Substring) {
    precondition(["imm", "uimm", "nzimm", "nzuimm", "shamt"].contains(name), name)
    nonzeroImm = name.hasPrefix("nz")
    signed = name.hasSuffix("imm") && !name.hasSuffix("uimm")
    for range in ranges.split(separator: "|").reversed() {
      let ends = range.split(separator: ":").compactMap { Int($0) }
      guard let top = ends.first, let bottom = ends.last, top >= bottom else {
        preconditionFailure("\(range)")
      }
      let slice = Slice(
        from: UInt8(width), to: UInt8(bottom), width: UInt8(top - bottom + 1))
      layout.slices.append(slice)
      immBits |= slice.mask &<< UInt32(width)
      immTop = max(immTop, top)
      width += Int(slice.width)
    }
  }
}
