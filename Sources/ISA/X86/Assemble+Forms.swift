import Assembly

/// One way to write a statement: a row, sizes, and how large the displacement is.
struct AsmForm {
  /// What stands before displacement and immediates.
  private var head: [UInt8]
  private let row: Int
  private let address: AsmAddress?
  private let displacementSize: Int
  /// Values behind the displacement, in the order of their operands.
  private let values: [Value]
  /// Bytes that its memory operand has.
  let memorySize: UInt8

  private struct Value {
    var expression: AssemblyExpression
    var kind: Kind
    var bytes: Int

    enum Kind {
      /// Any number of so many bytes.
      case plain
      /// Extended to so many bytes by its sign.
      case signed(to: UInt8)
      case relative
      /// The register of a fourth operand.
      case upper
      case offset
    }
  }

  /// Bytes of the instruction.
  var size: Int { head.count + displacementSize + values.reduce(0) { $0 + $1.bytes } }

  /// Whether its bytes depend on symbols, or on where it stands.
  var needsPlace: Bool {
    values.contains {
      if case .relative = $0.kind { return true }
      return $0.expression.constant == nil
    } || address?.displacement.map { $0.constant == nil } ?? false
  }

  // MARK: Making

  /// All ways in which a row can be these operands.
  static func all(
    of index: Int, _ operands: [AsmOperand], prefix: UInt8, short: Bool
  ) -> [AsmForm] {
    let row = Encodings.allRows[index]
    guard allows(prefix, row, operands) else { return [] }
    var forms: [AsmForm] = []
    for insn in settings(row, operands, short: short) {
      guard let bound = AsmBinding(row, operands, insn) else { continue }
      forms += bound.displacementSizes.map {
        AsmForm(index, row, bound, $0, prefix: prefix)
      }
      // The first sizes that fit are the ones, but where memory may be of several.
      if !operands.contains(where: { $0.memory?.size == 0 }) || row.traits.contains(.default64)
        || row.operands.contains(where: { $0.type == .far })
      {
        break
      }
    }
    return forms
  }

  private static func allows(_ prefix: UInt8, _ row: Row, _ operands: [AsmOperand]) -> Bool {
    switch prefix {
    case 0: true
    case 0xf0: row.traits.contains(.lock) && operands.first?.memory != nil
    default: row.traits.contains(.string)
    }
  }

  /// The operand sizes in which a row can be written, as instructions that have nothing else.
  private static func settings(_ row: Row, _ operands: [AsmOperand], short: Bool) -> [Insn] {
    let match = row.match
    let types = row.operands.map(\.type)
    let sized = types.contains { [.v, .z, .bs, .far].contains($0) }
    var found: [Insn] = []
    func add(short: Bool, wide: Bool, long: Bool) {
      var insn = Insn()
      insn.op = row.op
      if match.vex { insn.prefixes.insert(.vex) }
      if short || match.prefix == .p66 { insn.prefixes.insert(.operandSize) }
      if match.prefix == .pF2 { insn.prefixes.insert(.repne) }
      if match.prefix == .pF3 { insn.prefixes.insert(.rep) }
      if wide { insn.prefixes.insert(.wide) }
      if long { insn.prefixes.insert(.vex256) }
      insn.size =
        row.traits.contains(.force64) || wide
        ? 8
        : insn.prefixes.contains(.operandSize) ? 2 : row.traits.contains(.default64) ? 8 : 4
      if match.size != 0, match.size != insn.size { return }
      found.append(insn)
    }
    let canBeShort =
      !match.vex && match.prefix != .none && match.prefix != .p66 && (sized || match.size == 2)
      && !row.traits.contains(.force64)
    let wides: [Bool]
    if match.wide != 0 {
      wides = [match.wide == 2]
    } else if match.size == 8, !row.traits.contains(.default64) {
      wides = [true]
    } else if types.contains(.y)
      || sized && !row.traits.contains(.force64)
        && !row.traits.contains(.default64)
    {
      wides = [false, true]
    } else {
      wides = [false]
    }
    let longs = match.vexL == 0 ? (match.vex ? [false, true] : [false]) : [match.vexL == 2]
    for long in longs {
      for wide in wides {
        for short in canBeShort ? [false, true] : [false] where !(short && wide) {
          add(short: short, wide: wide, long: long)
        }
      }
    }
    if short {
      for index in found.indices { found[index].prefixes.insert(.addressSize) }
    }
    return found
  }

  private init(
    _ index: Int, _ row: Row, _ bound: AsmBinding, _ displacementSize: Int, prefix: UInt8
  ) {
    self.row = index
    self.displacementSize = displacementSize
    address = bound.address
    memorySize = bound.memorySize
    head = bound.head(row, displacementSize, prefix: prefix)
    var values: [Value] = []
    for (operand, expression) in bound.values {
      switch (operand.place, operand.type) {
      case (.relative, .b): values.append(Value(expression: expression, kind: .relative, bytes: 1))
      case (.relative, _): values.append(Value(expression: expression, kind: .relative, bytes: 4))
      case (.vectorImmediate, _):
        values.append(Value(expression: expression, kind: .upper, bytes: 1))
      case (.offset, _):
        let bytes = bound.insn.prefixes.contains(.addressSize) ? 4 : 8
        values.append(Value(expression: expression, kind: .offset, bytes: bytes))
      case (_, .bs):
        values.append(
          Value(expression: expression, kind: .signed(to: bound.insn.size), bytes: 1))
      case (_, .b): values.append(Value(expression: expression, kind: .plain, bytes: 1))
      case (_, .w): values.append(Value(expression: expression, kind: .plain, bytes: 2))
      case (_, .z):
        values.append(
          bound.insn.size == 8
            ? Value(expression: expression, kind: .signed(to: 8), bytes: 4)
            : Value(expression: expression, kind: .plain, bytes: Int(bound.insn.size)))
      default:
        values.append(Value(expression: expression, kind: .plain, bytes: Int(bound.insn.size)))
      }
    }
    self.values = values
  }

  // MARK: Encoding

  /// Its bytes at a place; throws where it can't say what it should.
  func encode(_ place: AssemblyPlace?) throws(AssemblyProblem) -> [UInt8] {
    var bytes = head
    func value(_ expression: AssemblyExpression) throws(AssemblyProblem) -> UInt64 {
      if let constant = expression.constant { return constant }
      guard let place else { throw AssemblyProblem("an address is not known here") }
      return try expression.value(place)
    }
    func append(_ number: UInt64, _ count: Int) {
      bytes += (0..<UInt64(count)).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
    }
    if let address {
      var number: UInt64 = 0
      if let expression = address.displacement {
        number = try value(expression)
        // A symbol behind `rip` is meant itself, not so many bytes further.
        if address.pcSize != 0, expression.constant == nil, let place {
          number = number &- place.pc &- UInt64(size)
        }
      }
      let signed = Int64(bitPattern: number)
      let bits = 8 * displacementSize
      let fits =
        bits == 0
        ? signed == 0
        : Self.fits(signed, bits) || bits == 32 && address.addressSize == 4 && number >> 32 == 0
      guard fits else {
        throw AssemblyProblem(
          "the displacement \(signed) does not fit into 32 bits", column: address.column)
      }
      append(number, displacementSize)
    }
    for item in values {
      let number = try value(item.expression)
      switch item.kind {
      case .relative:
        guard let place else { throw AssemblyProblem("an address is not known here") }
        let distance = number &- place.pc &- UInt64(size)
        guard Self.fits(Int64(bitPattern: distance), 8 * item.bytes) else {
          throw AssemblyProblem("the target is \(Int64(bitPattern: distance)) bytes away: too far")
        }
        append(distance, item.bytes)
      case .upper: append(number << 4, 1)
      case .offset: append(number, item.bytes)
      case .plain:
        guard Self.fitsAny(number, 8 * item.bytes) else { throw Self.tooLarge(number, item.bytes) }
        append(number, item.bytes)
      case .signed(let to):
        guard Self.fitsAny(number, 8 * Int(to)) else { throw Self.tooLarge(number, Int(to)) }
        let shift = 64 - 8 * Int64(to)
        let extended = (Int64(bitPattern: number) << shift) >> shift
        guard Self.fits(extended, 8 * item.bytes) else { throw Self.tooLarge(number, item.bytes) }
        append(number, item.bytes)
      }
    }
    guard bytes.count <= Decoder.maxLength, case .insn(let insn) = Decoder.decode(bytes),
      insn.length == bytes.count, insn.row == row
    else { throw AssemblyProblem("these operands can't stand together") }
    return bytes
  }

  private static func tooLarge(_ number: UInt64, _ bytes: Int) -> AssemblyProblem {
    AssemblyProblem("\(Int64(bitPattern: number)) does not fit into \(8 * bytes) bits")
  }

  private static func fits(_ value: Int64, _ bits: Int) -> Bool {
    bits >= 64 || value >= -(1 << (bits - 1)) && value < 1 << (bits - 1)
  }

  /// With a sign or without.
  private static func fitsAny(_ value: UInt64, _ bits: Int) -> Bool {
    bits >= 64 || value >> UInt64(bits) == 0 || fits(Int64(bitPattern: value), bits)
  }
}
