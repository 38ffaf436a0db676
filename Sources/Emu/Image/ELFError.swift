/// Why bytes are not an ELF file that can be used, in one line.
public enum ELFError: Error, Sendable, Equatable, CustomStringConvertible {
  /// No ELF magic at the start.
  case notELF
  /// The file ends inside the named part.
  case truncated(String)
  /// A 32-bit file, or an unknown class.
  case wrongClass(UInt8)
  /// A big-endian file, or an unknown byte order.
  case wrongByteOrder(UInt8)
  /// Made for another machine.
  case wrongMachine(found: UInt16, expected: UInt16)
  /// Neither an executable nor a shared object.
  case wrongType(UInt16)
  /// A field has a value that can't be right.
  case malformed(String)

  /// The line.
  public var description: String {
    switch self {
    case .notELF: "not an ELF file"
    case .truncated(let part): "truncated: the file ends inside its \(part)"
    case .wrongClass(1): "a 32-bit ELF file; 64-bit files run here"
    case .wrongClass(let value): "unknown ELF class \(value)"
    case .wrongByteOrder(2): "a big-endian ELF file; little-endian files run here"
    case .wrongByteOrder(let value): "unknown ELF byte order \(value)"
    case .wrongMachine(let found, let expected):
      "made for \(Self.machineName(found)), not for \(Self.machineName(expected))"
    case .wrongType(1): "a relocatable object file; link it first"
    case .wrongType(4): "a core dump"
    case .wrongType(let value): "ELF type \(value) is neither an executable nor a shared object"
    case .malformed(let what): what
    }
  }

  /// The name of a machine number, as far as it is likely to be met.
  ///
  /// - SeeAlso: Linux, `include/uapi/linux/elf-em.h`
  static func machineName(_ machine: UInt16) -> String {
    switch machine {
    case 3: "i386"
    case 8: "MIPS"
    case 20: "32-bit PowerPC"
    case 21: "64-bit PowerPC"
    case 22: "S390"
    case 40: "32-bit ARM"
    case 62: "x86-64"
    case 183: "AArch64"
    case 243: "RISC-V"
    case 247: "BPF"
    case 258: "LoongArch"
    default: "machine \(machine)"
    }
  }
}
