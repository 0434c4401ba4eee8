/// Rows under a header, each column as wide as its widest cell.
struct Table {
    private var rows: [[String]]

    /// A table without rows.
    init(_ header: String...) {
        rows = [header]
    }

    /// Adds a row; an empty cell is shown as a dash.
    mutating func add(_ cells: String?...) {
        rows.append(cells.map { cell in cell.flatMap { $0.isEmpty ? nil : $0 } ?? "-" })
    }

    /// The lines, without blanks at their ends.
    var text: String {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            let cells = row.enumerated().map { column, cell in
                column == row.count - 1 ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }
            return cells.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}

/// Names and values, one a line, the values aligned.
struct Card {
    private var lines: [(name: String, value: String)] = []

    /// Adds a line, unless there is nothing to say.
    mutating func add(_ name: String, _ value: String?) {
        guard let value, !value.isEmpty else { return }
        lines.append((name, value))
    }

    /// The lines.
    var text: String {
        let width = lines.map(\.name.count).max() ?? 0
        return lines.map { $0.name + ":" + String(repeating: " ", count: width - $0.name.count + 1) + $0.value }
            .joined(separator: "\n")
    }
}
