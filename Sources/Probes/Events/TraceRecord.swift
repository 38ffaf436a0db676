/// How events are written.
public enum TraceFormat: String, Sendable, CaseIterable {
  /// As Linux's `trace` file shows them.
  case text
  /// One JSON object a line.
  case json
}

/// One hit of an event.
public struct TraceRecord: Sendable, Equatable {
  /// One fetched argument.
  public struct Argument: Sendable, Equatable {
    /// Its name.
    public var name: String
    /// How it is printed.
    public var type: FetchType
    /// What was fetched.
    public var value: FetchValue

    /// An argument of the given parts.
    public init(name: String, type: FetchType, value: FetchValue) {
      self.name = name
      self.type = type
      self.value = value
    }
  }

  /// The event's group and name.
  public var group, event: String
  /// It is of a program.
  public var isUser: Bool
  /// It is of a return.
  public var isReturn: Bool
  /// The current task.
  public var comm: [UInt8]
  /// Its number.
  public var pid: Int32
  /// The hart.
  public var cpu: Int
  /// Nanoseconds of guest time.
  public var time: UInt64
  /// The probed address; of a return the function's.
  public var address: UInt64
  /// Where a return goes.
  public var returnAddress: UInt64
  /// What was fetched.
  public var arguments: [Argument]

  /// A record of the given parts.
  public init(
    group: String, event: String, isUser: Bool, isReturn: Bool, comm: [UInt8], pid: Int32,
    cpu: Int, time: UInt64, address: UInt64, returnAddress: UInt64, arguments: [Argument]
  ) {
    self.group = group
    self.event = event
    self.isUser = isUser
    self.isReturn = isReturn
    self.comm = comm
    self.pid = pid
    self.cpu = cpu
    self.time = time
    self.address = address
    self.returnAddress = returnAddress
    self.arguments = arguments
  }

  /// The record as a line, its newline included; `symbol` finds the kernel's symbol at or before an
  /// address.
  public func line(_ format: TraceFormat, _ symbol: (UInt64) -> KernelSymbol?) -> [UInt8] {
    format == .text ? text(symbol) : json(symbol)
  }

  /// What a line of ``TraceFormat/text`` shows behind an argument's `name=`.
  public func text(of argument: Argument, _ symbol: (UInt64) -> KernelSymbol?) -> String {
    var bytes: [UInt8] = []
    Self.print(argument.value, argument.type, symbol, into: &bytes)
    return String(decoding: bytes, as: UTF8.self)
  }

  // MARK: Linux's text

  /// - SeeAlso: Linux, `kernel/trace/trace_output.c`, `trace_print_context`, `trace_print_lat_fmt`;
  ///   `kernel/trace/trace_kprobe.c`, `print_kprobe_event`, `print_kretprobe_event`;
  ///   `kernel/trace/trace_uprobe.c`, `print_uprobe_event`.
  private func text(_ symbol: (UInt64) -> KernelSymbol?) -> [UInt8] {
    var line = [UInt8](repeating: 0x20, count: max(16 - comm.count, 0)) + comm
    let micros = time / 1000 &+ (time % 1000 >= 500 ? 1 : 0)
    let head =
      "-\(pid.description.padded(-7)) [\(zeros(UInt64(clamping: cpu), 3))] \(flags) "
      + "\(String(micros / 1_000_000).padded(5)).\(zeros(micros % 1_000_000, 6)): \(event): ("
    line += Array(head.utf8)
    if isReturn {
      let function =
        isUser ? hex(address) : symbol(address).map(\.name) ?? hex(address)
      line += Array("\(place(returnAddress, symbol)) <- \(function)".utf8)
    } else {
      line += Array(place(address, symbol).utf8)
    }
    line.append(UInt8(ascii: ")"))
    for argument in arguments {
      line += Array(" \(argument.name)=".utf8)
      Self.print(argument.value, argument.type, symbol, into: &line)
    }
    line.append(0x0a)
    return line
  }

  /// Kernel probes are served with interrupts off.
  private var flags: String { isUser ? "....." : "d...." }

  private func place(_ address: UInt64, _ symbol: (UInt64) -> KernelSymbol?) -> String {
    isUser ? hex(address) : KernelSymbol.text(address, symbol(address))
  }

  private static func print(
    _ value: FetchValue, _ type: FetchType, _ symbol: (UInt64) -> KernelSymbol?,
    into line: inout [UInt8]
  ) {
    switch value {
    // Deviation: for what is no string Linux prints whatever was in the record's place.
    case .fault: line += Array("(fault)".utf8)
    case .text(let bytes):
      line.append(0x22)
      line += bytes
      line.append(0x22)
    case .array(let elements):
      line.append(UInt8(ascii: "{"))
      for (index, element) in elements.enumerated() {
        if index > 0 { line.append(UInt8(ascii: ",")) }
        print(element, type, symbol, into: &line)
      }
      line.append(UInt8(ascii: "}"))
    case .number(let value):
      switch type.style {
      case .unsigned, .string, .symbolString: line += Array(String(value).utf8)
      case .signed: line += Array(String(signed(value, type)).utf8)
      case .hex: line += Array(hex(value).utf8)
      case .character: line += [0x27, UInt8(truncatingIfNeeded: value), 0x27]
      case .symbol: line += Array(KernelSymbol.text(value, symbol(value)).utf8)
      }
    }
  }

  private static func signed(_ value: UInt64, _ type: FetchType) -> Int64 {
    let spare = Int64(64 - type.size * 8)
    return (Int64(bitPattern: value) &<< spare) &>> spare
  }

  // MARK: JSON

  private func json(_ symbol: (UInt64) -> KernelSymbol?) -> [UInt8] {
    let kind = isUser ? (isReturn ? "uretprobe" : "uprobe") : (isReturn ? "kretprobe" : "kprobe")
    var text = "{\"type\":\"\(kind)\",\"group\":\"\(group)\",\"event\":\"\(event)\""
    text += ",\"comm\":\(JSON.string(comm)),\"pid\":\(pid),\"cpu\":\(cpu),\"time_ns\":\(time)"
    text += isReturn ? ",\"function\":" : ",\"ip\":"
    text += "\"\(hex(address))\""
    if !isUser, let found = symbol(address) {
      text += ",\"symbol\":\(JSON.string(Array(found.name.utf8))),\"offset\":\(found.offset)"
    }
    if isReturn {
      text += ",\"ret_ip\":\"\(hex(returnAddress))\""
      if !isUser, let found = symbol(returnAddress) {
        let place = KernelSymbol.text(returnAddress, found)
        text += ",\"ret_symbol\":\(JSON.string(Array(place.utf8)))"
      }
    }
    text += ",\"args\":{"
    for (index, argument) in arguments.enumerated() {
      if index > 0 { text += "," }
      text += "\"\(argument.name)\":\(Self.json(argument.value, argument.type, symbol))"
    }
    return Array((text + "}}\n").utf8)
  }

  /// Decimal types are numbers, `xN` strings as they are printed; a fault is null.
  private static func json(
    _ value: FetchValue, _ type: FetchType, _ symbol: (UInt64) -> KernelSymbol?
  ) -> String {
    switch value {
    case .fault: return "null"
    case .text(let bytes): return JSON.string(bytes)
    case .array(let elements):
      return "[" + elements.map { json($0, type, symbol) }.joined(separator: ",") + "]"
    case .number(let value):
      switch type.style {
      case .unsigned, .string, .symbolString: return String(value)
      case .signed: return String(signed(value, type))
      case .hex: return "\"\(hex(value))\""
      case .character: return JSON.string([UInt8(truncatingIfNeeded: value)])
      case .symbol: return JSON.string(Array(KernelSymbol.text(value, symbol(value)).utf8))
      }
    }
  }
}

private func hex(_ value: UInt64) -> String { "0x\(String(value, radix: 16))" }

private func zeros(_ value: UInt64, _ width: Int) -> String {
  let digits = String(value)
  return String(repeating: "0", count: max(width - digits.count, 0)) + digits
}

extension String {
  /// Padded with blanks in front; behind for a negative width.
  func padded(_ width: Int) -> String {
    let blanks = String(repeating: " ", count: max(abs(width) - utf8.count, 0))
    return width < 0 ? self + blanks : blanks + self
  }
}

/// JSON text.
enum JSON {
  /// A string of bytes; those that are no UTF-8 become U+FFFD.
  ///
  /// - SeeAlso: RFC 8259, section 7.
  static func string(_ bytes: [UInt8]) -> String {
    var text = "\""
    for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\n": text += "\\n"
      case "\t": text += "\\t"
      case "\r": text += "\\r"
      default:
        if scalar.value < 0x20 || scalar.value == 0x7f {
          let digits = String(scalar.value, radix: 16)
          text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
        } else {
          text.unicodeScalars.append(scalar)
        }
      }
    }
    return text + "\""
  }
}
