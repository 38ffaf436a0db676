/// Register numbers and their ABI names.
///
/// - SeeAlso: RISC-V ABIs Specification, "Register Convention".
public enum Registers {
  /// The ABI names of x0 to x31.
  public static let xNames = [
    "zero", "ra", "sp", "gp", "tp", "t0", "t1", "t2",
    "s0", "s1", "a0", "a1", "a2", "a3", "a4", "a5",
    "a6", "a7", "s2", "s3", "s4", "s5", "s6", "s7",
    "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
  ]

  /// The ABI names of f0 to f31.
  public static let fNames = [
    "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7",
    "fs0", "fs1", "fa0", "fa1", "fa2", "fa3", "fa4", "fa5",
    "fa6", "fa7", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7",
    "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
  ]

  /// Always 0.
  public static let zero: UInt8 = 0
  /// The return address.
  public static let ra: UInt8 = 1
  /// The stack pointer.
  public static let sp: UInt8 = 2
  /// The global pointer.
  public static let gp: UInt8 = 3
  /// The thread pointer.
  public static let tp: UInt8 = 4
  /// The alternate link register.
  public static let t0: UInt8 = 5
  /// The frame pointer.
  public static let s0: UInt8 = 8
  /// The first argument and the result.
  public static let a0: UInt8 = 10
  /// The number of the system call.
  public static let a7: UInt8 = 17

  /// The number of an x register: `x10`, `a0`; `fp` is `s0`.
  public static func x(named name: String) -> UInt8? {
    name == "fp" ? s0 : number(name, prefix: "x", names: xNames)
  }

  /// The number of an f register: `f10`, `fa0`.
  public static func f(named name: String) -> UInt8? {
    number(name, prefix: "f", names: fNames)
  }

  /// The ABI name of an x register; what is beyond 31 has none.
  public static func xName(_ number: UInt8) -> String {
    number < 32 ? xNames[Int(number)] : "x?\(number)"
  }

  /// The ABI name of an f register; what is beyond 31 has none.
  public static func fName(_ number: UInt8) -> String {
    number < 32 ? fNames[Int(number)] : "f?\(number)"
  }

  private static func number(_ name: String, prefix: String, names: [String]) -> UInt8? {
    if let index = names.firstIndex(of: name) { return UInt8(index) }
    guard name.hasPrefix(prefix) else { return nil }
    let digits = name.dropFirst(prefix.count)
    // No sign, no leading zero.
    guard let number = UInt8(digits), number < 32, String(number) == digits else { return nil }
    return number
  }
}
