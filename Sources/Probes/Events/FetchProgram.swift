/// What a fetch program asks of the place where a probe was hit.
public protocol FetchContext {
  /// The probe is in user code: all memory is user memory.
  var isUser: Bool { get }
  /// The first address behind user space.
  var userEnd: UInt64 { get }
  /// A register by its name without `%`.
  func register(_ name: String) -> UInt64?
  /// An argument of the function that begins here, from 0.
  func argument(_ index: Int) -> UInt64?
  /// At a return: what ``EventDefinition/entryArguments`` were when the function began.
  func entryValue(_ index: Int) -> UInt64?
  /// At a return: the returned value.
  var returnValue: UInt64 { get }
  /// The stack pointer.
  var stackPointer: UInt64 { get }
  /// Kernel memory; `nil` on a fault.
  func readKernel(_ address: UInt64, _ count: Int) -> [UInt8]?
  /// Memory of the current task; `nil` on a fault.
  func readUser(_ address: UInt64, _ count: Int) -> [UInt8]?
  /// The current task's name.
  var comm: [UInt8] { get }
  /// The address where the probed file's byte 0 is, or would be, in the probed mapping.
  var fileBase: UInt64 { get }
  /// The kernel's symbol at or before an address.
  func symbol(_ address: UInt64) -> KernelSymbol?
}

/// A symbol of the kernel, and a place in it.
public struct KernelSymbol: Sendable, Equatable {
  /// Its name.
  public var name: String
  /// Bytes from its start to the place.
  public var offset: UInt64
  /// Bytes from its start to the next one.
  public var size: UInt64

  /// A place in a symbol.
  public init(name: String, offset: UInt64, size: UInt64) {
    self.name = name
    self.offset = offset
    self.size = size
  }

  /// `name+0x10/0x40`, or the address where it has no symbol.
  ///
  /// - SeeAlso: Linux, `kernel/kallsyms.c`, `sprint_symbol`.
  static func text(_ address: UInt64, _ symbol: KernelSymbol?) -> String {
    func hex(_ value: UInt64) -> String { "0x\(String(value, radix: 16))" }
    return symbol.map { "\($0.name)+\(hex($0.offset))/\(hex($0.size))" } ?? hex(address)
  }
}

/// A fetched value.
public enum FetchValue: Sendable, Equatable {
  /// The low bytes of it, as many as the type has; the others are zero.
  case number(UInt64)
  /// Bytes without their NUL.
  case text([UInt8])
  /// The elements of an array.
  case array([FetchValue])
  /// Memory that can't be read.
  case fault
}

/// An argument's expression, compiled.
///
/// - SeeAlso: Linux, `kernel/trace/trace_probe_tmpl.h`, `process_fetch_insn_bottom`;
///   `kernel/trace/trace_probe.h`, `enum fetch_op`.
public struct FetchProgram: Sendable, Equatable {
  /// Where the first value comes from.
  public enum Load: Sendable, Equatable {
    /// A register of this name.
    case register(String)
    /// A word of the stack, or its address.
    case stack(UInt64), stackPointer
    /// The returned value.
    case returnValue
    /// A number: of the definition, or an address.
    case immediate(UInt64)
    /// The task's name.
    case comm
    /// An argument, now or when the function began.
    case argument(Int), entryValue(Int)
    /// The address of a byte of the probed file.
    case fileOffset(UInt64)
    /// Bytes of the definition.
    case text([UInt8])
  }

  /// A step from an address to what is there.
  public struct Dereference: Sendable, Equatable {
    /// Added to the address.
    public var offset: Int64
    /// In user memory, whoever asks.
    public var isUser: Bool
  }

  /// A part of a number.
  public struct Bitfield: Sendable, Equatable {
    /// Shifts, left and then right, in a container of the type's size.
    public var left, right: Int
  }

  /// Where the first value comes from.
  public var load: Load
  /// Steps to memory, the innermost first.
  ///
  /// The last one reads as many bytes as the type has, the others read addresses.
  public var dereferences: [Dereference]
  /// What comes out.
  public var type: FetchType
  /// A part of it.
  public var bitfield: Bitfield?
  /// How many there are; `nil`: not an array.
  public var count: Int?

  /// Runs it.
  public func evaluate(_ context: some FetchContext) -> FetchValue {
    if case .text(let bytes) = load { return .text(bytes) }
    if case .comm = load { return .text(context.comm) }
    guard let first = start(context) else { return .fault }
    guard let last = dereferences.last else {
      switch type.style {
      case .string: return string(at: first, user: type.isUserString, context)
      case .symbolString: return symbolText(first, context)
      default: return number(first)
      }
    }
    var address = first
    for step in dereferences.dropLast() {
      guard let next = word(at: address, step, context) else { return .fault }
      address = next
    }
    address = address &+ UInt64(bitPattern: last.offset)
    guard let count else { return element(at: address, last, context) }
    var elements: [FetchValue] = []
    for _ in 0..<count {
      if type.style == .string {
        // An array of strings is one of pointers to them.
        let here = Dereference(offset: 0, isUser: last.isUser)
        if let pointer = word(at: address, here, context) {
          elements.append(string(at: pointer, user: type.isUserString, context))
        } else {
          elements.append(.fault)
        }
        address &+= 8
      } else {
        elements.append(element(at: address, last, context))
        address &+= UInt64(type.size)
      }
    }
    return .array(elements)
  }

  private func start(_ context: some FetchContext) -> UInt64? {
    switch load {
    case .register(let name): context.register(name)
    case .stack(let index): stackWord(index, context)
    case .stackPointer: context.stackPointer
    case .returnValue: context.returnValue
    case .immediate(let value): value
    case .argument(let index): context.argument(index)
    case .entryValue(let index): context.entryValue(index)
    case .fileOffset(let offset): context.fileBase &+ offset
    case .comm, .text: nil
    }
  }

  /// A word of the stack; 0 where there is none, as in Linux.
  ///
  /// - SeeAlso: Linux, `regs_get_kernel_stack_nth`; `kernel/trace/trace_uprobe.c`,
  ///   `get_user_stack_nth`.
  private func stackWord(_ index: UInt64, _ context: some FetchContext) -> UInt64 {
    let address = context.stackPointer &+ index &* 8
    let bytes =
      context.isUser ? context.readUser(address, 8) : context.readKernel(address, 8)
    return bytes.map(Self.little) ?? 0
  }

  private func element(
    at address: UInt64, _ step: Dereference, _ context: some FetchContext
  ) -> FetchValue {
    switch type.style {
    case .string: return string(at: address, user: type.isUserString || step.isUser, context)
    case .symbolString:
      let here = Dereference(offset: 0, isUser: step.isUser)
      guard let value = word(at: address, here, context) else { return .fault }
      return symbolText(value, context)
    default:
      guard let bytes = read(address, type.size, user: step.isUser, context) else { return .fault }
      return number(Self.little(bytes))
    }
  }

  private func number(_ value: UInt64) -> FetchValue {
    let mask = UInt64.max &>> UInt64(64 - type.size * 8)
    guard let bitfield else { return .number(value & mask) }
    let shifted = (value & mask) &<< UInt64(bitfield.left) & mask
    return .number(shifted &>> UInt64(bitfield.right))
  }

  private func symbolText(_ value: UInt64, _ context: some FetchContext) -> FetchValue {
    .text(Array(KernelSymbol.text(value, context.symbol(value)).utf8))
  }

  private func word(
    at address: UInt64, _ step: Dereference, _ context: some FetchContext
  ) -> UInt64? {
    read(address &+ UInt64(bitPattern: step.offset), 8, user: step.isUser, context)
      .map(Self.little)
  }

  /// Reads memory: a kernel probe's plain fetch of a user address reads user memory.
  ///
  /// - SeeAlso: Linux, `kernel/trace/trace_probe_kernel.h`, `probe_mem_read`.
  private func read(
    _ address: UInt64, _ count: Int, user: Bool, _ context: some FetchContext
  ) -> [UInt8]? {
    let bytes: [UInt8]?
    if context.isUser || user || address < context.userEnd {
      guard address < context.userEnd, UInt64(count) <= context.userEnd &- address else {
        return nil
      }
      bytes = context.readUser(address, count)
    } else {
      bytes = context.readKernel(address, count)
    }
    return bytes?.count == count ? bytes : nil
  }

  /// Bytes up to a NUL, or as many as fit into a string.
  private func string(
    at start: UInt64, user: Bool, _ context: some FetchContext
  ) -> FetchValue {
    var text: [UInt8] = []
    while text.count < EventLimits.string - 1 {
      let address = start &+ UInt64(text.count)
      // Never beyond the page: the next one may be absent although the string ends before it.
      let count = min(64 - Int(address & 63), EventLimits.string - 1 - text.count)
      guard let bytes = read(address, count, user: user, context) else { return .fault }
      if let end = bytes.firstIndex(of: 0) {
        text += bytes[..<end]
        return .text(text)
      }
      text += bytes
    }
    return .text(text)
  }

  private static func little(_ bytes: [UInt8]) -> UInt64 {
    bytes.reversed().reduce(0) { $0 &<< 8 | UInt64($1) }
  }
}
