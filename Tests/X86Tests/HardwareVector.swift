/// One instance of one instruction as this file's host executed it: a line of a `.ins` file.
///
/// ```text
/// # pc      bytes       disassembly      before           => after
/// 0x1000 [48 01 d8] "add rax, rbx" rax=0x1 rbx=0x2 flags=0x0 => rax=0x3 flags=0x4
/// ```
///
/// `flags` are RFLAGS without bits 1, 8 and 9; `undefined` are flags that the manual leaves open;
/// `v3.1` is the second 64-bit word of vector register 3; `st3.0` and the like are the x87 unit's
/// (``StackState``); `m[address]` the bytes from there on, as they lie; `trap`,
/// `error` and `cr2` are the exception. What is not named keeps its value.
struct HardwareVector {
  var place: String
  var pc: UInt64
  var bytes: [UInt8]
  var disassembly: String
  var before: [(name: String, value: UInt64)] = []
  var after: [(name: String, value: UInt64)] = []
  var memory: [(address: UInt64, bytes: [UInt8])] = []

  struct Malformed: Error { var place: String }

  static func parse(_ text: String, file: String) throws -> [HardwareVector] {
    var vectors: [HardwareVector] = []
    for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated()
    where !line.isEmpty && !line.hasPrefix("#") {
      vectors.append(try HardwareVector(line, "\(file):\(index + 1)"))
    }
    return vectors
  }

  private static func number(_ text: Substring) -> UInt64? {
    text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text)
  }

  private static func hexBytes(_ text: Substring) -> [UInt8] {
    var bytes: [UInt8] = []
    var rest = text
    while let byte = UInt8(rest.prefix(2), radix: 16) {
      bytes.append(byte)
      rest = rest.dropFirst(2)
    }
    return bytes
  }

  private init(_ line: Substring, _ place: String) throws {
    self.place = place
    let quoted = line.split(separator: "\"", maxSplits: 2, omittingEmptySubsequences: false)
    guard quoted.count == 3, let open = quoted[0].firstIndex(of: "["),
      let close = quoted[0].firstIndex(of: "]"),
      let pc = Self.number(quoted[0][..<open].filter { $0 != " " }[...])
    else { throw Malformed(place: place) }
    self.pc = pc
    bytes = quoted[0][quoted[0].index(after: open)..<close].split(separator: " ").compactMap {
      UInt8($0, radix: 16)
    }
    disassembly = String(quoted[1])
    var isAfter = false
    for word in quoted[2].split(separator: " ") {
      if word == "=>" {
        isAfter = true
        continue
      }
      let parts = word.split(separator: "=")
      guard parts.count == 2 else { throw Malformed(place: place) }
      if parts[0].hasPrefix("m[") {
        guard let address = Self.number(parts[0].dropFirst(2).dropLast()) else {
          throw Malformed(place: place)
        }
        memory.append((address, Self.hexBytes(parts[1])))
        continue
      }
      guard let value = Self.number(parts[1]) else { throw Malformed(place: place) }
      if isAfter {
        after.append((String(parts[0]), value))
      } else {
        before.append((String(parts[0]), value))
      }
    }
  }
}

extension Substring {
  fileprivate func filter(_ keep: (Character) -> Bool) -> Substring {
    String(Array(self).filter(keep))[...]
  }
}
