/// What an instruction trace must know of an instruction set: facts, no mechanism.
///
/// Where a hart may read the same bytes as several kinds of code, what looks at bytes is told which.
public protocol TraceISA: AnyObject {
  /// What `uname -m` says of a machine of it.
  var name: String { get }
  /// The registers whose changes a trace shows, in the order in which it shows them.
  var registers: [StateSlot] { get }
  /// The value of one of them.
  func value(_ slot: Int, _ hart: Hart) -> UInt64
  /// Gives one of them a value.
  func setValue(_ slot: Int, _ value: UInt64, _ hart: Hart)
  /// The slot of the stack pointer.
  var stackPointer: Int { get }
  /// The mode a hart is in: the manual's letter, and its number.
  func mode(_ hart: Hart) -> (letter: Character, number: Int)
  /// The MMU indices under which programs run (``Hart/observe(_:modes:)``).
  var userModes: UInt64 { get }
  /// Bytes of the longest instruction.
  var maxInsnLength: Int { get }
  /// The bytes of the instruction that a hart is about to execute at `pc`, as code of its present kind.
  func insnBytes(at pc: UInt64, _ hart: Hart) -> [UInt8]
  /// The slots that an instruction writes, be it what is there already.
  func written(_ bytes: [UInt8], code: CodeKind) -> [Int]
  /// The slots that an instruction reads.
  func read(_ bytes: [UInt8]) -> [Int]
  /// Whether an instruction calls the operating system.
  func isSystemCall(_ bytes: [UInt8]) -> Bool
  /// The text of an instruction.
  func disassemble(_ bytes: [UInt8], at pc: UInt64, code: CodeKind) -> String
}

extension TraceISA {
  /// The slots that an instruction of a program writes.
  public func written(_ bytes: [UInt8]) -> [Int] { written(bytes, code: 0) }
  /// The text of an instruction of a program.
  public func disassemble(_ bytes: [UInt8], at pc: UInt64) -> String {
    disassemble(bytes, at: pc, code: 0)
  }
  /// What the slot holds.
  public func value(_ slot: Int, _ hart: Hart) -> UInt64 { hart.x[slot] }
  /// Into the slot.
  public func setValue(_ slot: Int, _ value: UInt64, _ hart: Hart) { hart.x[slot] = value }
}
