/// One case of one instruction, as a line of a `.ins` file says it.
///
/// ```text
/// # pc      bytes          disassembly            before            => after
/// 0x1000  [e7 80 50 00]  "jalr 5(ra)"  ra=0x2000 => ra=0x1004 pc=0x2004   # rd = rs1, bit 0 cleared
/// ```
///
/// A state is words `name=value`: registers by their ABI names, `fflags` and `fcsr`, system
/// registers by theirs, `m1[address]` to `m8[address]` for little-endian memory of that many bytes,
/// `priv` (`U`, `S` or `M`), `pc`. After: `trap` and `tval` where an exception is taken, `wait=1`
/// where the hart waits. What the after-state does not name keeps its value; `pc` moves on by the
/// instruction's length; an exception changes nothing but what the manual says of exceptions.
public struct Vector: Sendable {
  /// Where it stands: a file's name and a line's number.
  public var place: String
  /// The address of the instruction.
  public var pc: UInt64
  /// The instruction's bytes, two or four.
  public var bytes: [UInt8]
  /// What a disassembler makes of them.
  public var disassembly: String
  /// The state before.
  public var before: State
  /// The state after.
  public var after: State

  /// Named values.
  public struct State: Sendable {
    /// Registers and system registers.
    public var values: [(name: String, value: UInt64)] = []
    /// Memory.
    public var memory: [(address: UInt64, size: Int, value: UInt64)] = []
    /// 0 user, 1 supervisor, 3 machine.
    public var privilege: UInt64?

    /// A named value.
    public subscript(_ name: String) -> UInt64? { values.first { $0.name == name }?.value }
  }

  /// The instruction as a number.
  public var bits: UInt32 {
    bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// A line that is not a vector.
  public struct Malformed: Error, CustomStringConvertible {
    /// Where, and what is wrong.
    public let description: String
  }

  /// All vectors of a file's text.
  public static func parse(_ text: String, file: String) throws -> [Vector] {
    var vectors: [Vector] = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
    {
      let place = "\(file):\(index + 1)"
      // No string of a vector has a hash in it.
      let content = line.prefix { $0 != "#" }
      if content.allSatisfy({ $0 == " " }) { continue }
      vectors.append(try Vector(content, place))
    }
    return vectors
  }

  private init(_ line: Substring, _ place: String) throws {
    func bad(_ what: String) -> Malformed { Malformed(description: "\(place): \(what)") }
    guard let open = line.firstIndex(of: "["), let close = line.firstIndex(of: "]"), open < close,
      let quote = line[close...].firstIndex(of: "\"")
    else { throw bad("no [bytes] \"disassembly\"") }
    let afterQuote = line.index(after: quote)
    guard let endQuote = line[afterQuote...].firstIndex(of: "\"") else {
      throw bad("no end of text")
    }
    guard let pc = Vector.number(line[..<open].filter { $0 != " " }) else { throw bad("no pc") }
    let bytes = line[line.index(after: open)..<close].split(separator: " ").compactMap {
      UInt8($0, radix: 16)
    }
    guard bytes.count == 2 || bytes.count == 4 else { throw bad("neither two nor four bytes") }
    self.place = place
    self.pc = pc
    self.bytes = bytes
    disassembly = String(line[afterQuote..<endQuote])
    let rest = line[line.index(after: endQuote)...]
    guard let arrow = rest.range(ofArrow: "=>") else { throw bad("no =>") }
    before = try Vector.state(rest[..<arrow.lowerBound], bad)
    after = try Vector.state(rest[arrow.upperBound...], bad)
  }

  private static func number(_ text: some StringProtocol) -> UInt64? {
    text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
  }

  private static func state(
    _ text: Substring, _ bad: (String) -> Malformed
  ) throws -> State {
    var state = State()
    for word in text.split(separator: " ") {
      guard let equals = word.firstIndex(of: "=") else { throw bad("\(word) has no value") }
      let name = word[..<equals]
      let text = word[word.index(after: equals)...]
      if name == "priv" {
        guard let level = ["U": UInt64(0), "S": 1, "M": 3][text] else { throw bad("priv=\(text)") }
        state.privilege = level
        continue
      }
      guard let value = number(text) else { throw bad("\(word)") }
      if name.hasPrefix("m"), name.hasSuffix("]"), let open = name.firstIndex(of: "[") {
        let size = Int(name[name.index(after: name.startIndex)..<open]) ?? 0
        let address = number(name[name.index(after: open)...].dropLast())
        guard [1, 2, 4, 8].contains(size), let address else { throw bad("\(word)") }
        state.memory.append((address, size, value))
      } else {
        state.values.append((String(name), value))
      }
    }
    return state
  }
}

extension Substring {
  fileprivate func range(ofArrow arrow: String) -> Range<Index>? {
    var at = startIndex
    while at < endIndex {
      if self[at...].hasPrefix(arrow) { return at..<index(at, offsetBy: arrow.count) }
      at = index(after: at)
    }
    return nil
  }
}
