/// A word of a text.
public struct AssemblyToken: Equatable, Sendable {
  /// What it is.
  public enum Kind: Equatable, Sendable {
    /// A name: letters, digits, `_`, `.` and `$`.
    case name(String)
    /// A number, or a character's.
    case number(UInt64)
    /// `1f` or `1b`: the next, or the last, local label of that number.
    case local(Int, isForward: Bool)
    /// The bytes of a string.
    case string([UInt8])
    /// Any other sign; `<<` and `>>` are `<` and `>`.
    case sign(Character)
  }

  /// What it is.
  public var kind: Kind
  /// The byte of the line where it begins, from 1.
  public var column: Int

  /// Its name, where it is one.
  public var name: String? {
    if case .name(let name) = kind { name } else { nil }
  }

  /// Whether it is this sign.
  public func isSign(_ sign: Character) -> Bool { kind == .sign(sign) }
}

/// A text's words, statement by statement.
struct AssemblyScanner {
  /// One statement's words.
  struct Statement {
    var line: Int
    var tokens: [AssemblyToken]
  }

  private let bytes: [UInt8]
  private var at = 0
  private var line = 1
  private var lineStart = 0
  private var statements: [Statement] = []
  private var tokens: [AssemblyToken] = []

  /// All statements of a text; empty ones are left out.
  ///
  /// Statements end with a line or a `;`. Comments are `#` and `//` to the end of the line, and
  /// `/* ... */`.
  static func statements(of text: String) throws(AssemblyError) -> [Statement] {
    var scanner = AssemblyScanner(bytes: Array(text.utf8))
    guard scanner.bytes.count <= AssemblyLimit.text else {
      throw AssemblyError(line: 1, column: 1, "more than \(AssemblyLimit.text >> 10) KiB of text")
    }
    try scanner.scan()
    return scanner.statements
  }

  private init(bytes: [UInt8]) { self.bytes = bytes }

  private var column: Int { at - lineStart + 1 }
  private func byte(_ ahead: Int = 0) -> UInt8 {
    at + ahead < bytes.count ? bytes[at + ahead] : 0
  }
  private func error(_ message: String) -> AssemblyError {
    AssemblyError(line: line, column: column, message)
  }

  private mutating func endStatement() {
    if !tokens.isEmpty { statements.append(Statement(line: line, tokens: tokens)) }
    tokens = []
  }

  private mutating func newline() {
    endStatement()
    at += 1
    line += 1
    lineStart = at
  }

  private mutating func scan() throws(AssemblyError) {
    while at < bytes.count {
      switch byte() {
      case UInt8(ascii: "\n"): newline()
      case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: "\r"): at += 1
      case UInt8(ascii: ";"):
        endStatement()
        at += 1
      case UInt8(ascii: "#"): skipLine()
      case UInt8(ascii: "/") where byte(1) == UInt8(ascii: "/"): skipLine()
      case UInt8(ascii: "/") where byte(1) == UInt8(ascii: "*"): try skipBlock()
      case UInt8(ascii: "\""): try scanString()
      case UInt8(ascii: "'"): try scanCharacter()
      case UInt8(ascii: "0")...UInt8(ascii: "9"): try scanNumber()
      case let byte where Self.isName(byte): scanName()
      case let byte where byte > 0x20 && byte < 0x7f:
        let column = column
        at += 1
        // `<<` and `>>` are one sign each.
        if byte == UInt8(ascii: "<") || byte == UInt8(ascii: ">"), self.byte() == byte { at += 1 }
        append(.sign(Character(Unicode.Scalar(byte))), column)
      default: throw error("byte 0x\(String(byte(), radix: 16)) is no part of any statement")
      }
    }
    endStatement()
  }

  private mutating func append(_ kind: AssemblyToken.Kind, _ column: Int) {
    tokens.append(AssemblyToken(kind: kind, column: column))
  }

  private mutating func skipLine() {
    while at < bytes.count, byte() != UInt8(ascii: "\n") { at += 1 }
  }

  private mutating func skipBlock() throws(AssemblyError) {
    let start = error("this comment has no end")
    at += 2
    while byte() != UInt8(ascii: "*") || byte(1) != UInt8(ascii: "/") {
      guard at < bytes.count else { throw start }
      if byte() == UInt8(ascii: "\n") {
        at += 1
        line += 1
        lineStart = at
      } else {
        at += 1
      }
    }
    at += 2
  }

  private static func isName(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "."),
      UInt8(ascii: "$"):
      true
    default: false
    }
  }

  private mutating func word() -> String {
    let start = at
    while Self.isName(byte()) { at += 1 }
    return String(decoding: bytes[start..<at], as: UTF8.self)
  }

  private mutating func scanName() {
    let column = column
    append(.name(word()), column)
  }

  private mutating func scanNumber() throws(AssemblyError) {
    let column = column
    let start = error("")
    let word = word()
    if let last = word.last, last == "b" || last == "f", let number = Int(word.dropLast()) {
      return append(.local(number, isForward: last == "f"), column)
    }
    let lower = word.lowercased()
    let value: UInt64?
    if lower.hasPrefix("0x") {
      value = UInt64(lower.dropFirst(2), radix: 16)
    } else if lower.hasPrefix("0b") {
      value = UInt64(lower.dropFirst(2), radix: 2)
    } else if lower.hasPrefix("0"), lower.count > 1 {
      value = UInt64(lower.dropFirst(1), radix: 8)
    } else {
      value = UInt64(lower)
    }
    guard let value else {
      throw AssemblyError(line: start.line, column: column, "'\(word)' is no number of 64 bits")
    }
    append(.number(value), column)
  }

  private mutating func scanCharacter() throws(AssemblyError) {
    let column = column
    at += 1
    guard at < bytes.count, byte() != UInt8(ascii: "\n") else {
      throw error("a character is missing")
    }
    let value = try character()
    if byte() == UInt8(ascii: "'") { at += 1 }
    append(.number(UInt64(value)), column)
  }

  private mutating func scanString() throws(AssemblyError) {
    let column = column
    let start = error("this string has no end")
    at += 1
    var value: [UInt8] = []
    while byte() != UInt8(ascii: "\"") {
      guard at < bytes.count, byte() != UInt8(ascii: "\n") else { throw start }
      value.append(try character())
    }
    at += 1
    append(.string(value), column)
  }

  /// A byte of a string, its escapes undone.
  private mutating func character() throws(AssemblyError) -> UInt8 {
    let first = byte()
    let place = error("unknown escape")
    at += 1
    guard first == UInt8(ascii: "\\") else { return first }
    let escape = byte()
    at += 1
    switch escape {
    case UInt8(ascii: "n"): return 10
    case UInt8(ascii: "t"): return 9
    case UInt8(ascii: "r"): return 13
    case UInt8(ascii: "b"): return 8
    case UInt8(ascii: "f"): return 12
    case UInt8(ascii: "\\"), UInt8(ascii: "\""), UInt8(ascii: "'"): return escape
    case UInt8(ascii: "0")...UInt8(ascii: "7"):
      var value = UInt8(escape - UInt8(ascii: "0"))
      for _ in 0..<2 where (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(byte()) {
        value = value &<< 3 | (byte() - UInt8(ascii: "0"))
        at += 1
      }
      return value
    case UInt8(ascii: "x"):
      var digits = ""
      while let digit = Unicode.Scalar(UInt32(byte())), Character(digit).isHexDigit {
        digits.unicodeScalars.append(digit)
        at += 1
      }
      guard let value = UInt64(digits.suffix(2), radix: 16) else { throw place }
      return UInt8(truncatingIfNeeded: value)
    default: throw place
    }
  }
}
