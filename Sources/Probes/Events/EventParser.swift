/// Reads definitions of events.
///
/// ```text
/// p[:[GRP/][EVENT]] [MOD:]SYM[+OFFS]|MEMADDR [FETCHARGS]
/// r[MAXACTIVE][:[GRP/][EVENT]] [MOD:]SYM[+0] [FETCHARGS]
/// p|r[:[GRP/][EVENT]] PATH:OFFSET[%return][(REF_CTR_OFFSET)] [FETCHARGS]
/// p|r[:[GRP/][EVENT]] PATH:SYMBOL[+OFFS][%return][(REF_CTR_OFFSET)] [FETCHARGS]
/// p|r:PATH:… [FETCHARGS]
/// ```
///
/// Deviation: the last two lines are not Linux's; none of what they take is a definition there.
///
/// - SeeAlso: Linux, `kernel/trace/trace_kprobe.c`, `__trace_kprobe_create`;
///   `kernel/trace/trace_uprobe.c`, `__trace_uprobe_create`;
///   Documentation/trace/kprobetrace.rst, uprobetracer.rst.
public struct EventParser {
  let text: String
  let bytes: [UInt8]
  let names: EventNames
  var words: [Range<Int>] = []
  var isUser = false
  var isReturn = false
  var isEntry = false
  var entryArguments: [Int] = []
  /// Steps of the argument that is being read.
  var steps = 0

  /// Reads one definition.
  public static func parse(
    _ text: String, _ names: EventNames
  ) throws(EventError) -> EventDefinition {
    var parser = EventParser(text, names)
    return try parser.definition()
  }

  init(_ text: String, _ names: EventNames) {
    self.text = text
    bytes = Array(text.utf8)
    self.names = names
  }

  func error(_ problem: EventProblem, _ column: Int, _ detail: String? = nil) -> EventError {
    EventError(
      problem, text, column: column, subsystem: isUser ? "trace_uprobe" : "trace_kprobe",
      detail: detail)
  }

  func string(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

  func find(_ character: Character, in range: Range<Int>) -> Int? {
    guard let byte = character.asciiValue else { return nil }
    return bytes[range].firstIndex(of: byte)
  }

  // MARK: Words

  private mutating func split() throws(EventError) {
    guard bytes.count < EventLimits.line else {
      throw error(.lineTooLong, EventLimits.line)
    }
    var start: Int?
    for (index, byte) in bytes.enumerated() {
      if byte == 0x20 || byte == 9 {
        if let first = start { words.append(first..<index) }
        start = nil
      } else {
        guard byte > 0x20, byte != 0x7f else { throw error(.controlCharacter, index) }
        start = start ?? index
      }
    }
    if let first = start { words.append(first..<bytes.count) }
  }

  private mutating func definition() throws(EventError) -> EventDefinition {
    try split()
    guard let head = words.first else { throw error(.noProbeType, 0) }
    switch bytes[head.lowerBound] {
    case UInt8(ascii: "p"): break
    case UInt8(ascii: "r"): isReturn = true
    default: throw error(.noProbeType, head.lowerBound)
    }
    let colon = find(":", in: head)
    let nameEnd = colon ?? head.upperBound
    var name = colon.map { $0 + 1..<head.upperBound }
    var place: Range<Int>
    // `p:./program:main`: a path where a name would be.
    if let range = name, let slash = find("/", in: range),
      bytes[slash..<range.upperBound].contains(UInt8(ascii: ":"))
    {
      place = range
      name = nil
      words.insert(range, at: 1)
    } else {
      guard words.count > 1 else { throw error(.noProbePoint, bytes.count) }
      place = words[1]
    }
    let address = Numbers.unsigned(bytes[place])
    isUser = address == nil && find("/", in: place) != nil && find(":", in: place) != nil
    let maxActive = try maxActive(head.lowerBound + 1..<nameEnd)
    var definition = EventDefinition(
      text: text, place: .address(0), placeColumn: place.lowerBound, isReturn: false,
      maxActive: maxActive, group: isUser ? "uprobes" : "kprobes", event: "",
      referenceCounter: nil, arguments: [], entryArguments: [])
    if let address {
      definition.place = .address(address)
    } else if isUser {
      try filePlace(place, &definition)
    } else {
      try kernelPlace(place, &definition)
    }
    definition.isReturn = isReturn
    definition.event = defaultName(definition)
    if let name { try eventName(name, &definition) }
    definition.arguments = try arguments(Array(words.dropFirst(2)))
    definition.entryArguments = entryArguments
    return definition
  }

  private func maxActive(_ digits: Range<Int>) throws(EventError) -> Int? {
    guard !digits.isEmpty else { return nil }
    guard Numbers.isDigit(bytes[digits.lowerBound]) else {
      throw error(.noProbeType, digits.lowerBound)
    }
    guard isReturn, !isUser else { throw error(.badMaxactType, digits.lowerBound) }
    guard digits.count < EventLimits.name, let number = Numbers.unsigned(bytes[digits]),
      number > 0, number <= UInt64(UInt32.max)
    else { throw error(.badMaxact, digits.lowerBound) }
    guard number <= EventLimits.maxActive else {
      throw error(.maxactTooBig, digits.lowerBound)
    }
    return Int(number)
  }

  // MARK: Places

  /// Cuts `%return` off.
  private mutating func cutReturn(_ range: Range<Int>) throws(EventError) -> Range<Int> {
    guard let percent = find("%", in: range) else { return range }
    guard bytes[percent..<range.upperBound].elementsEqual("%return".utf8) else {
      throw error(.badAddrSuffix, percent)
    }
    isReturn = true
    return range.lowerBound..<percent
  }

  /// Splits `SYM+OFFS`; `nil` where the offset is none, or negative.
  private func symbolOffset(_ range: Range<Int>) -> (name: Range<Int>, offset: UInt64)? {
    let sign = bytes[range].firstIndex { $0 == UInt8(ascii: "+") || $0 == UInt8(ascii: "-") }
    guard let sign else { return range.isEmpty ? nil : (range, 0) }
    guard sign > range.lowerBound, let offset = Numbers.signed(bytes[sign..<range.upperBound]),
      offset >= 0, offset <= Int64(UInt32.max)
    else { return nil }
    return (range.lowerBound..<sign, UInt64(offset))
  }

  private mutating func kernelPlace(
    _ word: Range<Int>, _ definition: inout EventDefinition
  ) throws(EventError) {
    let range = try cutReturn(word)
    guard let (whole, offset) = symbolOffset(range) else {
      throw error(.badProbeAddr, word.lowerBound)
    }
    var name = whole
    var module: String?
    if let colon = find(":", in: whole) {
      module = string(whole.lowerBound..<colon)
      name = colon + 1..<whole.upperBound
    }
    guard !name.isEmpty, module != "" else { throw error(.badProbeAddr, word.lowerBound) }
    if let lookup = names.symbol {
      guard module == nil else {
        throw error(.badProbeAddr, word.lowerBound, "there are no modules")
      }
      switch lookup(string(name)) {
      case .unknown: throw error(.badProbeAddr, word.lowerBound, "no symbol '\(string(name))'")
      case .ambiguous: throw error(.nonUniqSymbol, word.lowerBound)
      case .address: break
      }
    }
    if isReturn, offset != 0 { throw error(.badRetprobe, word.lowerBound) }
    isEntry = offset == 0
    definition.place = .symbol(string(name), offset: offset, module: module)
  }

  private mutating func filePlace(
    _ word: Range<Int>, _ definition: inout EventDefinition
  ) throws(EventError) {
    // The last one: a path may have colons too.
    let colon = bytes[word].lastIndex(of: UInt8(ascii: ":")) ?? word.lowerBound
    let path = string(word.lowerBound..<colon)
    guard !path.isEmpty else { throw error(.fileNotFound, word.lowerBound) }
    switch names.file?(path) ?? .regular {
    case .missing: throw error(.fileNotFound, word.lowerBound)
    case .notRegular: throw error(.noRegularFile, word.lowerBound)
    case .regular: break
    }
    var target = colon + 1..<word.upperBound
    definition.placeColumn = target.lowerBound
    if let open = find("(", in: target) {
      guard let close = find(")", in: open..<target.upperBound) else {
        throw error(.refcntOpenBrace, target.upperBound)
      }
      guard close + 1 == target.upperBound else { throw error(.badRefcntSuffix, close + 1) }
      guard let counter = Numbers.unsigned(bytes[(open + 1)..<close]) else {
        throw error(.badRefcnt, open + 1)
      }
      definition.referenceCounter = counter
      target = target.lowerBound..<open
    }
    target = try cutReturn(target)
    if let first = bytes[target].first, !Numbers.isDigit(first) {
      guard let (name, offset) = symbolOffset(target) else {
        throw error(.badUprobeOffs, target.lowerBound)
      }
      if isReturn, offset != 0 { throw error(.badRetprobe, target.lowerBound) }
      isEntry = offset == 0
      definition.place = .file(path: path, .symbol(string(name), offset: offset))
    } else {
      guard let offset = Numbers.unsigned(bytes[target]) else {
        throw error(.badUprobeOffs, target.lowerBound)
      }
      definition.place = .file(path: path, .offset(offset))
    }
  }

  // MARK: Names

  /// `p_SYM_OFFS`, `p_0xADDR`, `p_BASENAME_0xOFFS`.
  private func defaultName(_ definition: EventDefinition) -> String {
    let name: String
    switch definition.place {
    case .symbol(let symbol, let offset, let module):
      name = "\(isReturn ? "r" : "p")_\(module.map { "\($0)_" } ?? "")\(symbol)_\(offset)"
    case .address(let address):
      name = "\(isReturn ? "r" : "p")_0x\(Hex.padded(address))"
    case .file(let path, let target):
      // The file's name up to its first '.', '-' or '_'; with an offset, Linux has `p` for returns
      // too, so that both at one place need names.
      let base = path.split(separator: "/").last ?? ""
      let tail = base.prefix { !".-_".contains($0) }
      switch target {
      case .offset(let offset): name = "p_\(tail)_0x\(String(offset, radix: 16))"
      case .symbol(let symbol, let offset):
        name = "\(isReturn ? "r" : "p")_\(tail)_\(symbol)_\(offset)"
      }
    }
    // Deviation: Linux replaces '.' and ':' only, and other characters would make a bad name.
    let good = name.utf8.map {
      Numbers.isLetter($0) || Numbers.isDigit($0) ? $0 : UInt8(ascii: "_")
    }
    return String(decoding: good.prefix(EventLimits.name - 1), as: UTF8.self)
  }

  /// - SeeAlso: Linux, `kernel/trace/trace_probe.c`, `traceprobe_parse_event_name`.
  private func eventName(
    _ range: Range<Int>, _ definition: inout EventDefinition
  ) throws(EventError) {
    var event = range
    let separator = find("/", in: range) ?? find(".", in: range)
    if let separator {
      let group = range.lowerBound..<separator
      guard !group.isEmpty else { throw error(.noGroupName, range.lowerBound) }
      guard group.count < EventLimits.name else { throw error(.groupTooLong, range.lowerBound) }
      guard isIdentifier(group, or: UInt8(ascii: "-")) else {
        throw error(.badGroupName, range.lowerBound)
      }
      definition.group = string(group)
      event = separator + 1..<range.upperBound
    }
    if event.isEmpty {
      // `p:GRP/` keeps the event's default name.
      guard separator == nil else { return }
      throw error(.noEventName, event.lowerBound)
    }
    guard event.count < EventLimits.name else { throw error(.eventTooLong, event.lowerBound) }
    guard isIdentifier(event) else { throw error(.badEventName, event.lowerBound) }
    definition.event = string(event)
  }

  /// A name as in C; `or`: another byte that may be in it, but not first.
  func isIdentifier(_ range: Range<Int>, or other: UInt8? = nil) -> Bool {
    guard let first = bytes[range].first else { return false }
    return (Numbers.isLetter(first) || first == UInt8(ascii: "_"))
      && bytes[range].allSatisfy {
        Numbers.isLetter($0) || Numbers.isDigit($0) || $0 == UInt8(ascii: "_") || $0 == other
      }
  }
}
