/// `Insn` to bits.
public enum Encoder {
  /// The bits that decode to just this, or nil if there are none.
  ///
  /// A length of 2 asks for the compressed instruction; the upper half of the bits is then 0.
  public static func encode(_ insn: Insn) -> UInt32? {
    for index in rowsOfOp[Int(insn.op.rawValue)] {
      let row = Encodings.allRows[index]
      guard row.length == insn.length else { continue }
      let bits = row.match | row.layout.insert(insn)
      if row.matches(bits), row.layout.extract(bits, op: row.op, length: row.length) == insn {
        return bits
      }
    }
    return nil
  }

  private static let rowsOfOp: [[Int]] = {
    var table = [[Int]](repeating: [], count: Op.allCases.count)
    for (index, row) in Encodings.allRows.enumerated() {
      table[Int(row.op.rawValue)].append(index)
    }
    return table
  }()
}
